"""Owns what happened of late in the whole service, for admins to look at.

Messages a minute of rooms, events that backends sent, the processes' figures of
the last quarter of an hour, warnings. Everything is short-lived and may be lost.
Each process gathers in memory and adds it up every few seconds: nothing is
written for a message. Two back ends behind one interface: in process, or Redis.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from beam import redis
from beam.config.conf import conf
from beam.loops import per_loop
from beam.telemetry import metrics

KEPT_SECONDS: Final = 900.0
MAX_WARNINGS: Final = 200
MAX_SENT: Final = 20
SENT_SECONDS: Final = 3_600
MAX_TOPICS: Final = 1_000
# Rooms in one step whose events are counted only because a backend sent some.
MAX_COUNTED: Final = 10_000
MINUTE: Final = 60

Record = dict[str, Any]
"""Something that happened: JSON with `at`, Unix time."""


@dataclass(slots=True)
class ActivityBuffer:
    """What happened in this process since it was last added up."""

    messages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sent: dict[str, list[Record]] = field(default_factory=dict)

    def note_message(self, topic: str) -> None:
        """A member, a backend or an admin sent a message to a room."""
        self.messages[topic] += 1
        metrics.ROOM_MESSAGES.value += 1

    def note_sent(self, topic: str, name: str, caller: str) -> None:
        """A backend or an admin sent an event. Its payload is not kept."""
        if len(self.messages) >= MAX_COUNTED and topic not in self.messages:
            metrics.ROOM_MESSAGES.value += 1
            metrics.SENT_UNRECORDED.value += 1
            return
        self.note_message(topic)
        records = self.sent.get(topic)
        if records is None:
            if len(self.sent) >= MAX_TOPICS:
                metrics.SENT_UNRECORDED.value += 1
                return
            records = self.sent[topic] = []
        records.append({"at": time.time(), "event": name, "by": caller})
        del records[:-MAX_SENT]


class Activity(Protocol):
    """What every back end promises. Redis that is away raises `RedisError`."""

    async def add(self, buffer: ActivityBuffer, now: float) -> None:
        """Add up what was gathered."""

    async def per_minute(self, topics: Sequence[str], now: float) -> list[float]:
        """Messages of the last 60 seconds, about, of each topic."""

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        """The topics with the most messages in the last minute, and how many."""

    async def sent(self, topic: str) -> list[Record]:
        """The last events that backends sent to a topic, newest first."""

    async def add_report(self, point: Record, warnings: Iterable[Record]) -> None:
        """Keep a process's figures, and what went wrong."""

    async def reports(self, now: float) -> tuple[list[Record], list[Record]]:
        """What the last quarter of an hour had: figures, oldest first; warnings,
        newest first."""


def _last_minute(before: float, current: float, now: float) -> float:
    """Of the last 60 seconds: the part of the minute before that lies in them."""
    return round(current + before * (1 - now % MINUTE / MINUTE), 1)


class LocalActivity:
    """One process, in memory."""

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
        return [_last_minute(before[t], current[t], now) for t in topics]

    def _around(self, now: float) -> tuple[Counter[str], Counter[str]]:
        minute = int(now // MINUTE)
        none: Counter[str] = Counter()
        return self._minutes.get(minute - 1, none), self._minutes.get(minute, none)

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        before, current = self._around(now)
        return _busiest(before, current, count, now)

    async def sent(self, topic: str) -> list[Record]:
        return list(reversed(self._sent.get(topic, ())))

    async def add_report(self, point: Record, warnings: Iterable[Record]) -> None:
        self._points.append(point)
        while self._points[0]["at"] < point["at"] - KEPT_SECONDS:
            self._points.popleft()
        self._warnings.extend(warnings)

    async def reports(self, now: float) -> tuple[list[Record], list[Record]]:
        points = _recent(self._points, now)
        return points, _recent(reversed(self._warnings), now)


def _recent(records: Iterable[Record], now: float) -> list[Record]:
    return [record for record in records if record["at"] > now - KEPT_SECONDS]


def _busiest(
    before: Mapping[str, float], current: Mapping[str, float], count: int, now: float
) -> list[tuple[str, float]]:
    rates = (
        (_last_minute(before.get(t, 0), current.get(t, 0), now), t)
        for t in {*before, *current}
    )
    return [(topic, rate) for rate, topic in heapq.nlargest(count, rates) if rate]


class RedisActivity:
    """Many processes, in Redis: sorted sets of one slot each, which expire."""

    def __init__(self, batch: redis.Batch, prefix: str) -> None:
        self._batch = batch
        self._stem = f"{prefix}:activity"

    def _minute(self, minute: int) -> str:
        return f"{self._stem}:messages:{minute}"

    def _of(self, topic: str) -> str:
        return f"{self._stem}:sent:{{{topic}}}"

    async def add(self, buffer: ActivityBuffer, now: float) -> None:
        commands = self._adding(buffer, self._minute(int(now // MINUTE)))
        # One chunk after another: what others ask meanwhile gets between.
        while chunk := list(islice(commands, redis.CALLS_AT_ONCE)):
            await self._batch.calls(chunk)

    def _adding(self, buffer: ActivityBuffer, key: str) -> Iterator[redis.Command]:
        for n, (topic, count) in enumerate(buffer.messages.items()):
            yield "ZINCRBY", key, count, topic
            # With the first: Redis may not get to see the last.
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
        return [_last_minute(float(b or 0), float(c or 0), now) for b, c in pairs]

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        minute = int(now // MINUTE)
        # A room that is busy now was so in this minute or the one before.
        calls = [
            ("ZREVRANGE", self._minute(one), 0, 4 * count, "WITHSCORES")
            for one in (minute - 1, minute)
        ]
        before, current = map(_scores, await self._batch.calls(calls))
        return _busiest(before, current, count, now)

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
        return [*map(orjson.loads, points)], _recent(map(orjson.loads, warnings), now)


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


activity_buffer = ActivityBuffer()
"""What happened in this process since the last beat."""


def take_buffer() -> ActivityBuffer:
    """Take what was gathered; the next begins."""
    taken = ActivityBuffer(activity_buffer.messages, activity_buffer.sent)
    activity_buffer.messages, activity_buffer.sent = defaultdict(int), {}
    return taken


_local = per_loop(LocalActivity)


def activity() -> Activity:
    """The running loop's back end: Redis where `REDIS_URL` is set."""
    if conf().redis_url:
        return RedisActivity(redis.batch(), conf().redis_prefix)
    return _local()
