"""Observes how long processes have been silent, without a clock that they share. Pure.

Each look compares what a process has counted with what it had counted at the look
before. The time between is the observer's own. Time in which it did not look, since
it stood still or was refused itself, is nobody's silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Seen(NamedTuple):
    """A mark, and how long it was observed not to change."""

    mark: str
    seconds: float


class Silence:
    """What one observer has seen of the others."""

    def __init__(self, pause: float) -> None:
        """`pause`: seconds from one look to the next, as they should be."""
        self._pause = pause
        self._looked: float | None = None
        self._seen: dict[str, Seen] = {}

    def interrupt(self) -> None:
        """A look failed: the time until the next one does not count."""
        self._looked = None

    def look(self, marks: Mapping[str, str], began: float, ended: float) -> None:
        """Take what each process has counted, asked for from `began` to `ended`.

        Seconds are the observer's. A pause counts for no longer than it should
        take, and for nothing if it took more than twice as long.
        """
        passed = 0.0
        if self._looked is not None and began - self._looked <= 2 * self._pause:
            passed = min(began - self._looked, self._pause)
        self._looked = ended
        self._seen = {
            name: self._after(self._seen.get(name), mark, passed)
            for name, mark in marks.items()
        }

    @staticmethod
    def _after(before: Seen | None, mark: str, passed: float) -> Seen:
        if before is None or before.mark != mark:
            return Seen(mark, 0.0)
        return Seen(mark, before.seconds + passed)

    def of(self, name: str) -> Seen:
        """What was seen of a process that was there at the last look."""
        return self._seen[name]
