"""Owns the recent activity of one process, in memory."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence

from rooms.monitoring.activity_buffer import ActivityBuffer
from rooms.monitoring.activity_records import (
    KEPT_SECONDS,
    MAX_SENT,
    MAX_TOPICS,
    MAX_WARNINGS,
    MINUTE,
    Record,
    busiest,
    last_minute,
    recent,
)


class LocalActivity:
    """See `rooms.monitoring.activity.Activity`."""

    def __init__(self) -> None:
        self._minutes: dict[int, Counter[str]] = {}
        self._sent: OrderedDict[str, deque[Record]] = OrderedDict()
        self._points: deque[Record] = deque()
        self._warnings: deque[Record] = deque(maxlen=MAX_WARNINGS)

    async def add(self, buffer: ActivityBuffer, now: float) -> None:
        minute = int(now // MINUTE)
        self._minutes.setdefault(minute, Counter()).update(buffer.messages)
        self._minutes = {m: c for m, c in self._minutes.items() if m >= minute - 1}
        for topic, records in buffer.sent.items():
            kept = self._sent.setdefault(topic, deque(maxlen=MAX_SENT))
            kept.extend(records)
            self._sent.move_to_end(topic)
        while len(self._sent) > MAX_TOPICS:
            self._sent.popitem(last=False)

    async def per_minute(self, topics: Sequence[str], now: float) -> list[float]:
        before, current = self._around(now)
        return [last_minute(before[t], current[t], now) for t in topics]

    def _around(self, now: float) -> tuple[Counter[str], Counter[str]]:
        minute = int(now // MINUTE)
        none: Counter[str] = Counter()
        return self._minutes.get(minute - 1, none), self._minutes.get(minute, none)

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        before, current = self._around(now)
        return busiest(before, current, count, now)

    async def sent(self, topic: str) -> list[Record]:
        return list(reversed(self._sent.get(topic, ())))

    async def add_report(self, point: Record, warnings: Iterable[Record]) -> None:
        self._points.append(point)
        while self._points[0]["at"] < point["at"] - KEPT_SECONDS:
            self._points.popleft()
        self._warnings.extend(warnings)

    async def reports(self, now: float) -> tuple[list[Record], list[Record]]:
        points = recent(self._points, now)
        return points, recent(reversed(self._warnings), now)
