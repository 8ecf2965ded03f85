"""Draws `docs/images/architecture.svg` from the import contract of `pyproject.toml`.

`python -m tests.docs.picture` writes it; a test compares it with the contract. Each
row is a layer, which imports only from the rows below it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.svg"
CONTRACT = "Layers: entry points on top, settings at the bottom"

WIDTH, MARGIN, GAP = 780, 16, 6
LOW, HIGH = 30, 46  # rows of one box, and of several
CONTENTS: Final = {
    "beam.management": "the commands: beam_serve, beam_token, beam_send, ...",
    "beam.asgi": "the ASGI application: HTTP and WebSocket",
    "beam.server": "daphne, WebSocket, HTTP, supervisor, drain",
    "beam.urls": "paths: demo, admin, API",
    "rooms.urls": "paths of the API",
    "rooms.admin": "rooms, keys and the live view",
    "rooms.api": "REST, health, metrics",
    "rooms.channels": "consumer, RoomChannel",
    "rooms.demo": "the demo page",
    "rooms.runtime": "start, recover, stop one process",
    "rooms.moderation": "remove, block, close, disconnect",
    "rooms.monitoring": "statistics, recent events, warnings",
    "rooms.records": "room settings and rows, closed rooms, clean-up",
    "rooms.messaging": "publisher, hub, fan-out, output of a socket, connections",
    "rooms.auth": "user and room tokens, JWKS, API keys, client IP",
    "rooms.models": "the database tables: rooms and API keys",
    "rooms.protocol": "pure: frames, serializers, rules of a connection, rate limits",
    "presence": "who is in a room: trackers, leases, Lua scripts",
    "beam.redis": "client, channel layer",
    "beam.database": "database checks",
    "beam.postgresql": "Django's backend with limits",
    "beam.config": "typed settings, checks",
    "beam.telemetry": "metrics, logs",
    "beam.loops": "one object per event loop",
}
# Where one message passes: the steps of "One message" in docs/architecture.md.
STEPS: Final = {
    "beam.server": "1, 7",
    "rooms.channels": "2, 3",
    "rooms.protocol": "2",
    "rooms.messaging": "4, 6, 7",
    "beam.redis": "5",
}
ABOVE: Final = (
    "browsers: WebSocket",
    "backends: HTTP",
    "admins: /admin/",
    "shell: manage.py",
)
BELOW: Final = ("Redis: presence, pub/sub", "PostgreSQL or SQLite: rooms, keys, admins")
STYLE: Final = """
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #3c4454; }
.name { font: 600 13px ui-monospace, "DejaVu Sans Mono", monospace; fill: #12161f; }
.step { font-weight: 700; text-anchor: end; fill: #9a3412; }
.outside { text-anchor: middle; }
.paper { fill: #ffffff; }
.box { stroke-width: 1; }
.beam { fill: #eef2fb; stroke: #9fb0d8; }
.rooms { fill: #edf7ee; stroke: #93bf98; }
.presence { fill: #fdf3e3; stroke: #d9b26f; }
.other { fill: none; stroke: #9aa2b1; stroke-dasharray: 4 3; }
.arrow { fill: none; stroke: #6b7385; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #c3cad8; }
  .name { fill: #f2f4f8; }
  .step { fill: #fdba74; }
  .paper { fill: #11151c; }
  .beam { fill: #1b2437; stroke: #4c62a0; }
  .rooms { fill: #172a1c; stroke: #3f7a4a; }
  .presence { fill: #30240f; stroke: #8a6a2c; }
  .other { stroke: #6b7385; }
  .arrow { stroke: #9aa2b1; }
}
"""


def layers(root: Path = ROOT) -> list[list[str]]:
    """The packages of each layer, top to bottom."""
    table = tomllib.loads((root / "pyproject.toml").read_text())
    contracts = table["tool"]["importlinter"]["contracts"]
    [rows] = [each["layers"] for each in contracts if each["name"] == CONTRACT]
    return [[name.strip() for name in row.split("|")] for row in rows]


def draw(rows: list[list[str]]) -> str:
    """The picture as SVG, light or dark as the reader's system is."""
    lines = [*_outside(ABOVE, MARGIN)]
    top = MARGIN + LOW + 3 * GAP
    lines += _arrow(top - 3 * GAP, top - 2)
    for row in rows:
        lines += _row(row, top)
        top += _height(len(row)) + GAP
    lines += _arrow(top - GAP, top + 2 * GAP - 2)
    lines += _outside(BELOW, top + 2 * GAP)
    height = top + 2 * GAP + LOW + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">',
            "<title>The packages of Beam: each imports only from rows below it</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
            *lines,
            "</svg>\n",
        ]
    )


def _columns(count: int) -> Iterator[tuple[float, float]]:
    """Left edge and width of each of `count` boxes in a row."""
    width = (WIDTH - 2 * MARGIN - (count - 1) * GAP) / count
    for number in range(count):
        yield MARGIN + number * (width + GAP), width


def _height(count: int) -> int:
    return LOW if count == 1 else HIGH


def _row(names: list[str], top: int) -> Iterator[str]:
    for name, (left, width) in zip(names, _columns(len(names)), strict=True):
        height = _height(len(names))
        yield _box(name.partition(".")[0], left, top, width, height)
        contents = escape(CONTENTS[name])
        if len(names) == 1:
            yield _text(left + 12, top + 20, name, "name")
            yield _text(left + 160, top + 20, contents)
        else:
            yield _text(left + 12, top + 19, name, "name")
            yield _text(left + 12, top + 37, contents)
        if name in STEPS:
            yield _text(left + width - 12, top + 20, STEPS[name], "step")


def _outside(names: tuple[str, ...], top: int) -> Iterator[str]:
    for name, (left, width) in zip(names, _columns(len(names)), strict=True):
        yield _box("other", left, top, width, LOW)
        yield _text(left + width / 2, top + 20, escape(name), "outside")


def _box(kind: str, left: float, top: int, width: float, height: int) -> str:
    return (
        f'<rect class="box {kind}" x="{left:g}" y="{top}" '
        f'width="{width:g}" height="{height}" rx="6"/>'
    )


def _text(left: float, top: float, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{left:g}" y="{top:g}">{text}</text>'


def _arrow(start: int, end: int) -> Iterator[str]:
    middle = WIDTH // 2
    yield (f'<path class="arrow" d="M{middle} {start}V{end}m-4 -5l4 5l4 -5"/>')


if __name__ == "__main__":
    PICTURE.write_text(draw(layers()))
