"""The interface to the recent activity of the whole service, which admins see.

It contains the messages per minute of rooms, the events that backends sent, and the
statistics and warnings of the last 15 minutes. It is short-lived and may be lost.
Each process collects in memory and adds to it every few seconds, not for each message.
There are two stores: `LocalActivity` for one process, `RedisActivity` for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from beam import redis
from beam.config.conf import conf
from beam.loops import per_loop
from rooms.monitoring.activity_buffer import ActivityBuffer
from rooms.monitoring.activity_records import Record
from rooms.monitoring.local_activity import LocalActivity
from rooms.monitoring.redis_activity import RedisActivity


class Activity(Protocol):
    """What every store promises.

    Every call may raise `beam.redis.Unavailable`. `now`: Unix time.
    """

    async def add(self, buffer: ActivityBuffer, now: float) -> None:
        """Add what a process collected."""

    async def per_minute(self, topics: Sequence[str], now: float) -> list[float]:
        """The messages of the last 60 seconds of each topic, estimated."""

    async def busiest(self, count: int, now: float) -> list[tuple[str, float]]:
        """The topics with the most messages in the last 60 seconds, and how many."""

    async def sent(self, topic: str) -> list[Record]:
        """The last events that backends or admins sent to a topic, newest first."""

    async def add_report(self, point: Record, warnings: Iterable[Record]) -> None:
        """Add a point of a process's statistics, and its warnings."""

    async def reports(self, now: float) -> tuple[list[Record], list[Record]]:
        """The last 15 minutes: points, oldest first, and warnings, newest first."""


_local = per_loop(LocalActivity)


def activity() -> Activity:
    """The running loop's store: in Redis if `REDIS_URL` is set."""
    if conf().redis_url:
        return RedisActivity(redis.batch(), conf().redis_prefix)
    return _local()
