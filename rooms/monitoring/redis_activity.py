"""The recent activity of many processes, in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from beam import redis
from rooms.monitoring.activity_buffer import ActivityBuffer
from rooms.monitoring.activity_records import (
    KEPT_SECONDS,
    MAX_SENT,
    MAX_WARNINGS,
    MINUTE,
    SENT_SECONDS,
    Record,
    busiest,
    last_minute,
    recent,
)


class RedisActivity:
    """See `rooms.monitoring.activity.Activity`. Sorted sets, which expire."""

    def __init__(self, batch: redis.Batch, prefix: str) -> None:
        self._batch = batch
        self._stem = f"{prefix}:activity"

    def _minute(self, minute: int) -> str:
        return f"{self._stem}:messages:{minute}"

    def _of(self, topic: str) -> str:
        return f"{self._stem}:sent:{{{topic}}}"

    async def add(self, buffer: ActivityBuffer, now: float) -> None:
        commands = self._adding(buffer, self._minute(int(now // MINUTE)))
        # One chunk after another, so that other calls do not wait for all of them.
        while chunk := list(islice(commands, redis.CALLS_AT_ONCE)):
            await self._batch.calls(chunk)

    def _adding(self, buffer: ActivityBuffer, key: str) -> Iterator[redis.Command]:
        for n, (topic, count) in enumerate(buffer.messages.items()):
            yield "ZINCRBY", key, count, topic
            # After the first one: the connection may end before the last.
            if n == 0:
                yield "EXPIRE", key, 3 * MINUTE
        for topic, records in buffer.sent.items():
            yield from _kept(self._of(topic), records, MAX_SENT, SENT_SECONDS)

    async def per_minute(self, topics: Sequence[str], now: float) -> list[float]:
        minute = int(now // MINUTE)
        if not topics:
            return []
        keys = (self._minute(minute - 1), self._minute(minute))
        before, current = await self._batch.calls(
            [("ZMSCORE", key, *topics) for key in keys]
        )
        pairs = zip(before, current, strict=True)
        return [last_minute(float(b or 0), float(c or 0), now) for b, c in pairs]

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        minute = int(now // MINUTE)
        # A busy room is among the first of this minute or of the one before.
        calls = [
            ("ZREVRANGE", self._minute(one), 0, 4 * count, "WITHSCORES")
            for one in (minute - 1, minute)
        ]
        before, current = map(_scores, await self._batch.calls(calls))
        return busiest(before, current, count, now)

    async def sent(self, topic: str) -> list[Record]:
        found = await self._batch.call("ZREVRANGE", self._of(topic), 0, -1)
        return [orjson.loads(record) for record in found]

    async def add_report(self, point: Record, warnings: Iterable[Record]) -> None:
        points, kept_warnings = f"{self._stem}:points", f"{self._stem}:warnings"
        calls: list[redis.Command] = [
            ("ZADD", points, point["at"], orjson.dumps(point)),
            ("ZREMRANGEBYSCORE", points, "-inf", point["at"] - KEPT_SECONDS),
            ("EXPIRE", points, int(KEPT_SECONDS)),
            *_kept(kept_warnings, warnings, MAX_WARNINGS, int(KEPT_SECONDS)),
        ]
        await self._batch.calls(calls)

    async def reports(self, now: float) -> tuple[list[Record], list[Record]]:
        points, warnings = await self._batch.calls(
            [
                ("ZRANGEBYSCORE", f"{self._stem}:points", now - KEPT_SECONDS, "+inf"),
                ("ZREVRANGE", f"{self._stem}:warnings", 0, MAX_WARNINGS - 1),
            ]
        )
        return [*map(orjson.loads, points)], recent(map(orjson.loads, warnings), now)


def _kept(
    key: str, records: Iterable[Record], most: int, seconds: int
) -> list[redis.Command]:
    """The commands that add records, by their time, and keep the newest."""
    scored = [part for one in records for part in (one["at"], orjson.dumps(one))]
    if not scored:
        return []
    return [
        ("ZADD", key, *scored),
        ("ZREMRANGEBYRANK", key, 0, -most - 1),
        ("EXPIRE", key, seconds),
    ]


def _scores(answer: Sequence[Any]) -> dict[str, float]:
    """A dictionary of what `WITHSCORES` answered, in pairs or flat."""
    if answer and isinstance(answer[0], bytes):
        answer = list(zip(answer[::2], answer[1::2], strict=True))
    return {topic.decode(): float(score) for topic, score in answer}
