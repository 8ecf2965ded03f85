"""What both stores of recent activity keep, how much, and for how long."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any, Final

KEPT_SECONDS: Final = 900.0
MAX_WARNINGS: Final = 200
MAX_SENT: Final = 20
SENT_SECONDS: Final = 3_600
MAX_TOPICS: Final = 1_000
MINUTE: Final = 60

Record = dict[str, Any]
"""An event, a warning or a point: JSON with `at`, Unix time."""


def recent(records: Iterable[Record], now: float) -> list[Record]:
    """The records of the last `KEPT_SECONDS`."""
    return [record for record in records if record["at"] > now - KEPT_SECONDS]


def last_minute(before: float, current: float, now: float) -> float:
    """The messages of the last 60 seconds, from those of two calendar minutes.

    `before`: of the minute before, of which the part within 60 seconds counts.
    `current`: of the current minute.
    """
    return round(current + before * (1 - now % MINUTE / MINUTE), 1)


def busiest(
    before: Mapping[str, float], current: Mapping[str, float], count: int, now: float
) -> list[tuple[str, float]]:
    """The `count` topics with the most messages in the last 60 seconds.

    `before`, `current`: topic -> messages, as in `last_minute`.
    """
    rates = (
        (last_minute(before.get(t, 0), current.get(t, 0), now), t)
        for t in {*before, *current}
    )
    return [(topic, rate) for rate, topic in heapq.nlargest(count, rates) if rate]
