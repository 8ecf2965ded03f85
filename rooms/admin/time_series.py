"""Sums the reports of many processes per interval, for the charts of the live view.

A page that opens the live view receives the past as sums, whose size does not
depend on the number of processes, and continues with the reports that follow.
Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

Point = Mapping[str, Any]
"""A report of a process: `process`, `at` (Unix time), and numbers."""

SUMMED: Final = (
    "connections",
    "members",
    "joins",
    "messages",
    "deliveries",
    "errors",
)
"""The numbers that have a chart."""

SILENT_INTERVALS: Final = 3
"""A process that does not report for more intervals than this has ended."""

RECENT: Final = 3
"""Reports kept per process: of this interval, of the previous one, and one before."""


def interval_of(at: float, seconds: float) -> int:
    """The number of the interval that contains a time."""
    return int(at // seconds)


def sums(points: Iterable[Point], until: int, seconds: float) -> list[dict[str, Any]]:
    """The sum over all processes per interval before `until`.

    A process that did not report in an interval counts with its previous report,
    until it has ended. Intervals without any process are left out. `points`: oldest
    first.
    """
    reports: dict[int, dict[str, Point]] = defaultdict(dict)
    for point in points:
        reports[interval_of(point["at"], seconds)][point["process"]] = point
    last: dict[str, tuple[int, Point]] = {}
    found = []
    for interval in range(min(reports, default=until), until):
        last |= {name: (interval, point) for name, point in reports[interval].items()}
        last = {
            n: each
            for n, each in last.items()
            if interval - each[0] <= SILENT_INTERVALS
        }
        if last:
            found.append(_sum(interval, [point for _, point in last.values()]))
    return found


def _sum(interval: int, points: list[Point]) -> dict[str, Any]:
    """Rounded to two digits. A process of another version may lack a number."""
    row: dict[str, Any] = {"step": interval}
    for name in SUMMED:
        row[name] = round(sum(point.get(name, 0) for point in points), 2)
    return row


def recent(points: Iterable[Point], since: int, seconds: float) -> list[Point]:
    """The last reports of each process that had not ended at the interval `since`.

    A page that has the sums before `since` can compute the next ones from them.
    """
    found: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        if interval_of(point["at"], seconds) >= since - SILENT_INTERVALS:
            found[point["process"]].append(point)
    return [point for each in found.values() for point in each[-RECENT:]]
