"""Failures that follow each other, and how long the next reply is delayed. Pure."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


def refusal_delay(refused: int) -> float:
    """Seconds that the reply to a bad token is delayed, by how many came in a row.

    The first is answered at once. The delay limits a client that retries an
    invalid token without end.
    """
    if refused < 2:
        return 0.0
    return float(min(FIRST_DELAY * 2 ** min(refused - 2, 16), LONGEST_DELAY))


# A failure that comes later does not belong to those before.
STREAK_SECONDS = 30.0
MOST_STREAKS = 10_000


@dataclass(slots=True)
class Streak:
    """Failures of one client that follow each other. The clock is the caller's."""

    count: int = 0
    last: float = -math.inf

    def note(self, now: float) -> None:
        """One more failure."""
        self.count = self.count + 1 if now - self.last <= STREAK_SECONDS else 1
        self.last = now

    def delay(self, free: int, now: float) -> float:
        """Seconds that the next reply is delayed.

        0 for the first `free` failures, then twice as long each time, up to 5 s. If
        `free` is 0, replies are never delayed.
        """
        if not 0 < free < self.count or now - self.last > STREAK_SECONDS:
            return 0.0
        return refusal_delay(self.count - free + 1)


class Streaks:
    """The streaks of many clients, by key; the oldest are forgotten first."""

    def __init__(self, most: int = MOST_STREAKS) -> None:
        """`most`: how many are known at a time."""
        self._most = most
        self._known: dict[Hashable, Streak] = {}

    def __len__(self) -> int:
        return len(self._known)

    def note(self, key: Hashable, now: float) -> None:
        """One more failure of a client."""
        streak = self._known.pop(key, None) or Streak()
        streak.note(now)
        # At the end: the first ones failed longest ago.
        self._known[key] = streak
        while len(self._known) > self._most or self._is_over(now):
            del self._known[next(iter(self._known))]

    def _is_over(self, now: float) -> bool:
        oldest = next(iter(self._known.values()))
        return now - oldest.last > STREAK_SECONDS

    def delay(self, key: Hashable, free: int, now: float) -> float:
        """See `Streak.delay`."""
        streak = self._known.get(key)
        return 0.0 if streak is None else streak.delay(free, now)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
