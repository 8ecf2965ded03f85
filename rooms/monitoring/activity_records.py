"""What is kept of recent activity, how much of it, and its arithmetic."""

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
"""Something that happened: JSON with `at`, Unix time."""


def recent(records: Iterable[Record], now: float) -> list[Record]:
    return [record for record in records if record["at"] > now - KEPT_SECONDS]


def last_minute(before: float, current: float, now: float) -> float:
    """Of the last 60 seconds: the part of the minute before that lies in them."""
    return round(current + before * (1 - now % MINUTE / MINUTE), 1)


def busiest(
    before: Mapping[str, float], current: Mapping[str, float], count: int, now: float
) -> list[tuple[str, float]]:
    rates = (
        (last_minute(before.get(t, 0), current.get(t, 0), now), t)
        for t in {*before, *current}
    )
    return [(topic, rate) for rate, topic in heapq.nlargest(count, rates) if rate]
