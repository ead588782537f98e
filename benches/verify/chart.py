"""Draws a run as SVG: requests a second as bars, latencies as points."""

import math

WIDTH, LEFT, GAP = 960, 325, 40
ROW, TOP = 26, 62
BAR_WIDTH, POINT_WIDTH = 270, 245
COLOURS = {"keyledger": "#0b6e4f", "bare": "#8a8f98", "hello": "#8a8f98"}
OTHERS = "#c8553d"
SHADES = [("p50_ms", 1), ("p99_ms", 0.6), ("p999_ms", 0.3)]


def draw(summary):
    targets = list(summary.by_target)
    height = TOP + ROW * len(targets) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        text(16, 24, "Verification under load: 64 connections, server and load on one machine", 15),
        text(LEFT, 48, "requests a second", weight="bold"),
        text(LEFT + BAR_WIDTH + GAP, 48, "p50, p99, p99.9, milliseconds", weight="bold"),
    ]
    most = max(summary.median(target, "rate") for target in targets)
    parts += axis(len(targets))
    for index, target in enumerate(targets):
        middle = TOP + ROW * index + ROW / 2
        colour = COLOURS.get(target[0], OTHERS)
        parts.append(text(LEFT - 10, middle + 4, plain(summary.title(target)), anchor="end"))
        parts += bar(summary.median(target, "rate"), most, middle, colour)
        parts += points(summary, target, middle, colour)
    note = f"medians of {summary.rounds} rounds, in which each was measured in turn"
    parts.append(text(16, height - 10, note, 11, fill="#666"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def bar(rate, most, middle, colour):
    # Leaves room for the number after the longest bar.
    length = max(rate / most * (BAR_WIDTH - 60), 1)
    shape = f'<rect x="{LEFT}" y="{middle - 8}" width="{length:.1f}" height="16" fill="{colour}"/>'
    return [shape, text(LEFT + length + 6, middle + 4, f"{rate:,.0f}")]


def points(summary, target, middle, colour):
    places = [(place(summary.median(target, value)), shade) for value, shade in SHADES]
    line = f'<line x1="{places[0][0]:.1f}" x2="{places[-1][0]:.1f}" y1="{middle}" y2="{middle}" '
    drawn = [line + f'stroke="{colour}" stroke-opacity="0.3" stroke-width="3"/>']
    for across, shade in reversed(places):
        # A white disc below, so that the line does not show through a pale point.
        drawn.append(f'<circle cx="{across:.1f}" cy="{middle}" r="5" fill="#fff"/>')
        drawn.append(
            f'<circle cx="{across:.1f}" cy="{middle}" r="5" fill="{colour}" '
            f'fill-opacity="{shade}"/>'
        )
    return drawn


def place(milliseconds):
    """The position of a latency between 0.1 ms and 1 s on a logarithmic scale."""
    share = (math.log10(min(max(milliseconds, 0.1), 1_000)) + 1) / 4
    return LEFT + BAR_WIDTH + GAP + share * POINT_WIDTH


def axis(count):
    bottom = TOP + ROW * count
    drawn = []
    for milliseconds in [0.1, 1, 10, 100, 1_000]:
        across = place(milliseconds)
        drawn.append(
            f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{bottom}" stroke="#ddd"/>'
        )
        label = f"{milliseconds:,g}"
        drawn.append(text(across, bottom + 15, label, 11, anchor="middle", fill="#666"))
    return drawn


def text(across, down, words, size=12, anchor="start", weight="normal", fill="#222"):
    return (
        f'<text x="{across:.1f}" y="{down:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}" fill="{fill}">{words}</text>'
    )


def plain(title):
    return title.replace("`", "")
