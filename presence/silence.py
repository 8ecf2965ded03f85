"""Measures how long processes have been silent, without a shared clock. Pure.

Each observation compares the mark of a process, such as its count of renewals, with the
mark of the observation before. The time between is measured by the observer's own
clock. Time in which the observer was stopped, or got no answer itself, does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Observed(NamedTuple):
    """A mark, and for how many seconds it was observed not to change."""

    mark: str
    seconds: float


class Silence:
    """What one observer has observed of the other processes."""

    def __init__(self, interval: float) -> None:
        """`interval`: the seconds from one observation to the next, as planned."""
        self._interval = interval
        self._ended: float | None = None
        self._marks: dict[str, Observed] = {}

    def interrupt(self) -> None:
        """An observation failed: the time until the next one does not count."""
        self._ended = None

    def observe(self, marks: Mapping[str, str], began: float, ended: float) -> None:
        """Observe the mark of each process, read between `began` and `ended`.

        Both are seconds of the observer's clock. The time since the previous
        observation counts as at most one interval; if it is longer than two, it does
        not count.
        """
        passed = 0.0
        if self._ended is not None and began - self._ended <= 2 * self._interval:
            passed = min(began - self._ended, self._interval)
        self._ended = ended
        self._marks = {
            name: self._after(self._marks.get(name), mark, passed)
            for name, mark in marks.items()
        }

    @staticmethod
    def _after(before: Observed | None, mark: str, passed: float) -> Observed:
        if before is None or before.mark != mark:
            return Observed(mark, 0.0)
        return Observed(mark, before.seconds + passed)

    def of(self, name: str) -> Observed:
        """What was observed of a process that the last observation contained."""
        return self._marks[name]
