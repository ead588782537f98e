"""Results of the rounds: medians, and ratios within each round."""

import statistics

TITLES = {
    "hello": "axum, hello world",
    "bare": "axum, a constant",
    "keyledger": "keyledger",
    "sqlx": "axum, sqlx, one SELECT",
    "sqlx-tuned": "the same, its pool tuned",
    "starlette": "Starlette + SQLAlchemy",
    "better-auth": "better-auth",
}


class Summary:
    def __init__(self, rows, starts):
        self.starts = starts
        self.rounds = 1 + max(row["round"] for row in rows)
        self.by_target = {}
        for row in sorted(rows, key=lambda row: row["round"]):
            target = (row["service"], row["route"], row["keys"])
            self.by_target.setdefault(target, []).append(row)
        self.sizes = sorted({keys for name, _, keys in self.by_target if name == "keyledger"})

    def median(self, target, value):
        return statistics.median(row[value] for row in self.by_target[target])

    def title(self, target):
        name, route, keys = target
        path = "" if route == "hello" else f" `/{route}`"
        count = f", {keys:,} keys" if keys else ""
        return f"{TITLES[name]}{path}{count}"

    def ratios(self):
        """For each ratio: what it compares, its value in each round, and its target."""
        if not self.sizes:
            return
        first, last = self.sizes[0], self.sizes[-1]
        shared = self.sizes[min(1, len(self.sizes) - 1)]
        hello = ("hello", "hello", None)
        for route in ["verify", "auth"]:
            ours, bare = ("keyledger", route, shared), ("bare", route, None)
            yield f"`/{route}`, requests/s, of a bare handler's", self.ratio(ours, bare), "0.90"
            yield f"`/{route}`, requests/s, of hello world's", self.ratio(ours, hello), "0.75"
            paced = self.ratio(ours, bare, "paced_p99_ms")
            yield f"`/{route}`, p99 at the same pace, of a bare handler's", paced, "at most 1.3"
            full = self.ratio(ours, bare, "p99_ms")
            yield f"`/{route}`, p99 at full load, of a bare handler's", full, ""
            yield f"`/{route}`, CPU, of a bare handler's", self.ratio(ours, bare, "cpu_us"), ""
            large, small = ("keyledger", route, last), ("keyledger", route, first)
            what = f"`/{route}`, requests/s, {last:,} keys of {first:,} keys"
            yield what, self.ratio(large, small), "0.93"
        others = {"sqlx": "4.5", "sqlx-tuned": "", "starlette": "60", "better-auth": "60"}
        for other, least in others.items():
            what = f"`/verify`, times as many requests/s as {TITLES[other]}"
            ours, theirs = ("keyledger", "verify", shared), (other, "verify", shared)
            yield what, self.ratio(ours, theirs), least

    def ratio(self, one, other, value="rate"):
        if one not in self.by_target or other not in self.by_target:
            return []
        pairs = zip(self.by_target[one], self.by_target[other])
        return [a[value] / b[value] for a, b in pairs]

    def bytes_a_key(self):
        """Memory per key: the difference of a process with the most keys and one with the fewest."""
        first, last = self.sizes[0], self.sizes[-1]
        resident = [self.median(("keyledger", "verify", keys), "resident_mb") for keys in (first, last)]
        return (resident[1] - resident[0]) * 2**20 / (last - first)

    def markdown(self):
        text = "| service | requests/s | p50 / p99 / p99.9, ms | CPU per request, µs "
        text += "| of PostgreSQL, µs | resident, MiB |\n|---|--:|--:|--:|--:|--:|\n"
        for target, rows in self.by_target.items():
            spans = [self.median(target, value) for value in ["p50_ms", "p99_ms", "p999_ms"]]
            on_postgres = "database_cpu_us" in rows[0]
            database = f"{self.median(target, 'database_cpu_us'):,.0f}" if on_postgres else "–"
            text += f"| {self.title(target)} | {self.median(target, 'rate'):,.0f} "
            text += f"| {' / '.join(f'{span:.2f}' for span in spans)} "
            text += f"| {self.median(target, 'cpu_us'):,.1f} | {database} "
            text += f"| {rows[-1]['resident_mb']:,.0f} |\n"
        text += f"\n| ratio, median of {self.rounds} rounds | | lowest – highest | wanted |\n"
        text += "|---|--:|--:|--:|\n"
        for what, values, floor in self.ratios():
            if values:
                middle, low, high = statistics.median(values), min(values), max(values)
                text += f"| {what} | **{short(middle)}** "
                text += f"| {short(low)} – {short(high)} | {floor} |\n"
        if len(self.sizes) > 1:
            text += f"\nMemory a key, all told, with {self.sizes[-1]:,} keys: "
            text += f"{self.bytes_a_key():,.0f} bytes (wanted: at most 200).\n"
        if self.starts:
            text += "\n| keyledger's start to ready, s | reading the whole journal | again |\n"
            text += "|---|--:|--:|\n"
        for start in self.starts:
            text += f"| {start['keys']:,} keys | {start['first']:.2f} | {start['again']:.2f} |\n"
        return text


def short(value):
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
