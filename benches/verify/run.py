"""The load test of verification: `make bench-verify`, or `python3 benches/verify/run.py --help`.

Builds keyledger and the services it is compared with, starts all of them on this machine, and loads one after
another (`load.rs`) in rounds, so that a disturbance of the machine affects all of them alike. A ratio is
computed within each round; the report shows the median.

The first load keeps 64 connections busy with one request each. (With 32, two processors are sometimes idle
while all connections wait.) Its latencies are those of a server under full load. A second load compares
latencies with those of a bare handler: 80 connections pause before each request, at the same pace for both
servers, about half of what they can take.

Each request sends another key, from a list of 100,000 keys drawn uniformly from those that the service
knows. The services on PostgreSQL know as many keys as the second of keyledger's processes.
"""

import argparse
import contextlib
import json
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import chart
import postgres
import report
import servers
import services

ROOT = services.HERE.parents[1]
SERVICES = ["hello", "bare", "keyledger", "sqlx", "sqlx-tuned", "starlette", "better-auth"]
SIZES = [1_000, 100_000, 1_000_000]
DRAWN = 100_000


def build():
    """Builds keyledger and the program with the baselines, and returns their paths."""
    command = ["cargo", "bench", "--locked", "--no-run", "--bench", "verify"]
    command += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    return found["keyledger"], found["verify"]


def make_keys(baselines, folder, size, with_rows):
    """Creates a folder with a journal of `size` keys, and a sample of the keys for the requests."""
    place = folder / str(size)
    place.mkdir()
    keys = place / "keys"
    command = [baselines, "keys", f"sqlite://{place}/journal.db", str(size), keys]
    if with_rows:
        command.append(place / "rows.csv")
    subprocess.run(command, check=True)
    # A fixed seed, so that every run sends the keys in the same order.
    drawn = random.Random(1).choices(keys.read_text().splitlines(), k=DRAWN)
    (place / "sample").write_text("\n".join(drawn) + "\n")
    return place


def start(options, keyledger, baselines, stack, folder):
    """Starts the chosen services; returns what to measure, and how long keyledger took to start."""
    on_postgres = bool(options.only & {"sqlx", "sqlx-tuned", "starlette", "better-auth"})
    shared = options.sizes[1]
    sizes = options.sizes if "keyledger" in options.only else [shared]
    places = {}
    for size in sizes:
        say(f"making {size:,} keys")
        places[size] = make_keys(baselines, folder, size, on_postgres and size == shared)

    def running(server):
        stack.callback(server.stop)
        return server

    targets, starts = [], []

    def measure(name, routes, server, size, port=None, database=None):
        sample = places[size or shared] / "sample"
        for route in routes:
            port = port or server.port
            targets.append(services.Target(name, route, size, server, port, sample, database))

    bare = running(services.bare(baselines, folder))
    if "hello" in options.only:
        measure("hello", ["hello"], bare, None)
    if "bare" in options.only:
        measure("bare", ["verify", "auth"], bare, None)
    if "keyledger" in options.only:
        for size in sizes:
            say(f"starting keyledger with {size:,} keys, twice")
            first = services.Keyledger(keyledger, places[size])
            first.stop()
            again = running(services.Keyledger(keyledger, places[size]))
            seconds = {"first": first.ready_seconds, "again": again.ready_seconds}
            starts.append({"keys": size} | seconds)
            measure("keyledger", ["verify", "auth"], again, size, again.internal)
    if on_postgres:
        say(f"filling PostgreSQL with {shared:,} keys")
        database = running(postgres.Postgres(folder / "postgres"))
        rows = places[shared] / "rows.csv"
        begin = {
            "sqlx": lambda: services.sqlx(baselines, folder, database, rows),
            "sqlx-tuned": lambda: services.sqlx(baselines, folder, database, rows, "sqlx-tuned"),
            "starlette": lambda: services.starlette(folder, database, rows),
            "better-auth": lambda: services.better_auth(folder, database, rows),
        }
        for name in begin:
            if name in options.only:
                server = running(begin[name]())
                measure(name, ["verify"], server, shared, database=database.server)
        database.psql(database.url("postgres"), "-c", "CHECKPOINT")
    # Services that are compared are measured directly one after the other.
    targets.sort(key=lambda target: ["hello", "verify", "auth"].index(target.route))
    return targets, starts


def check(target):
    """Checks that a service gives the right answer: the load generator looks at the status only."""
    for key in target.sample.read_text().splitlines()[:50]:
        if target.route == "verify":
            headers = {"Content-Type": "application/json"}
            body = json.dumps({"key": key})
            status, _, answer = servers.ask(target.port, "POST", "/verify", body, headers)
            good = status == 200 and json.loads(answer)["valid"] is True
        elif target.route == "auth":
            status, headers, answer = servers.ask(
                target.port, "GET", "/auth", headers={"X-API-Key": key}
            )
            good = status == 200 and bool(headers["X-Key-Id"])
        else:
            status, headers, answer = servers.ask(target.port, "GET", "/hello")
            good = status == 200
        if not good:
            raise SystemExit(f"{target.name} /{target.route} answers {status}: {answer!r}")


def load(baselines, target, seconds, connections=64, pause_ms=0):
    """Loads a service; returns the result. A request waits for a random time up to `pause_ms`."""
    used = target.server.cpu_seconds()
    database_used = target.database.cpu_seconds() if target.database else 0
    command = [baselines, "load", target.port, target.route, connections, seconds, pause_ms]
    command = [str(word) for word in [*command, target.sample]]
    load_used = children_cpu_seconds()
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    told = json.loads(output)
    each = max(told["requests"], 1)
    row = {"service": target.name, "route": target.route, "keys": target.keys}
    row |= told | {"rate": told["requests"] / told["seconds"]}
    row["cpu_us"] = (target.server.cpu_seconds() - used) / each * 1e6
    # If the load generator uses nearly a whole core, it is the limit and not the server.
    row["load_cores"] = (children_cpu_seconds() - load_used) / told["seconds"]
    if target.database:
        row["database_cpu_us"] = (target.database.cpu_seconds() - database_used) / each * 1e6
    row["resident_mb"] = target.server.resident_mb()
    return row


def children_cpu_seconds():
    """CPU time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rounds(options, baselines, targets):
    """Measures all services in rounds. Each round starts with another service."""
    shared = options.sizes[1]
    for target in targets:
        check(target)
        load(baselines, target, min(options.seconds, 3))
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        turn = number % len(targets)
        for target in targets[turn:] + targets[:turn]:
            row = {"round": number} | load(baselines, target, options.seconds)
            paced = None
            # Latencies are measured under a load that is the same for both.
            if target.name == "bare" or (target.name == "keyledger" and target.keys == shared):
                paced = load(baselines, target, options.seconds, connections=80, pause_ms=1)
                for value in ["rate", "p50_ms", "p99_ms", "p999_ms"]:
                    row[f"paced_{value}"] = paced[value]
            if row["errors"] or (paced and paced["errors"]):
                raise SystemExit(f"not every answer was good: {row}")
            yield row


def say(text):
    print(text, file=sys.stderr, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(description="The load test of verification.")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=int, default=3, help="how long each measurement takes")
    parser.add_argument("--only", help=f"some of {','.join(SERVICES)}", default=",".join(SERVICES))
    parser.add_argument("--quick", action="store_true", help="only whether all of it works")
    parser.add_argument("--results", type=pathlib.Path, help="where they are written")
    options = parser.parse_args(arguments)
    options.only = set(options.only.split(","))
    if unknown := options.only - set(SERVICES):
        parser.error(f"no such service: {', '.join(unknown)}")
    options.sizes = SIZES
    # A partial run must not replace the results of a full run.
    is_full = not options.quick and options.only == set(SERVICES)
    if options.quick:
        options.rounds, options.seconds, options.sizes = 1, 1, [1_000, 2_000]
    default = services.HERE / "results" if is_full else ROOT / "target" / "bench-verify"
    options.results = options.results or default
    return options


def main(arguments):
    options = parse(arguments)
    # A plain `kill` also stops the servers in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    keyledger, baselines = build()
    # On a disk (/tmp may be in memory), in a folder that PostgreSQL's user may enter.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-verify-", dir="/var/tmp"))
    folder.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        targets, starts = start(options, keyledger, baselines, stack, folder)
        rows = list(rounds(options, baselines, targets))
    options.results.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) + "\n" for row in [*({"start": each} for each in starts), *rows]]
    (options.results / "rounds.jsonl").write_text("".join(lines))
    summary = report.Summary(rows, starts)
    (options.results / "chart.svg").write_text(chart.draw(summary))
    (options.results / "table.md").write_text(summary.markdown())
    print(summary.markdown())


if __name__ == "__main__":
    main(sys.argv[1:])
