"""Owns how the figures of many processes become lines: their sum at each step. Pure.

Who opens the live view is told of the past in sums, as large for a hundred
processes as for one, and goes on from the last figures of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

Point = Mapping[str, Any]
"""Figures of a process: `process`, `at` (Unix time), and numbers."""

SUMMED: Final = (
    "connections",
    "members",
    "joins",
    "messages",
    "deliveries",
    "errors",
)
"""What is drawn as a line."""

SILENT_INTERVALS: Final = 3
"""A process that says nothing for more steps than that is gone."""

RECENT: Final = 3
"""Of this step, of the one before, and what counts where that is missing."""


def interval_of(at: float, seconds: float) -> int:
    """The number of the step that a time lies in."""
    return int(at // seconds)


def sums(points: Iterable[Point], until: int, seconds: float) -> list[dict[str, Any]]:
    """The sum over processes at each step before `until` that any is known of.

    One that says nothing in a step is as before, until it is gone. Points come
    oldest first.
    """
    told: dict[int, dict[str, Point]] = defaultdict(dict)
    for point in points:
        told[interval_of(point["at"], seconds)][point["process"]] = point
    last: dict[str, tuple[int, Point]] = {}
    found = []
    for interval in range(min(told, default=until), until):
        last |= {name: (interval, point) for name, point in told[interval].items()}
        last = {
            n: each
            for n, each in last.items()
            if interval - each[0] <= SILENT_INTERVALS
        }
        if last:
            found.append(_sum(interval, [point for _, point in last.values()]))
    return found


def _sum(interval: int, points: list[Point]) -> dict[str, Any]:
    """Rates have two digits; a process of another version may lack one."""
    row: dict[str, Any] = {"step": interval}
    for name in SUMMED:
        row[name] = round(sum(point.get(name, 0) for point in points), 2)
    return row


def recent(points: Iterable[Point], since: int, seconds: float) -> list[Point]:
    """The last points of each process that was not gone at the step `since`.

    With them whoever has the sums of the steps before goes on by itself.
    """
    found: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        if interval_of(point["at"], seconds) >= since - SILENT_INTERVALS:
            found[point["process"]].append(point)
    return [point for each in found.values() for point in each[-RECENT:]]
