"""Owns what happened of late in the whole service, for admins to look at.

Messages a minute of rooms, events that backends sent, the processes' figures of
the last quarter of an hour, warnings. Everything is short-lived and may be lost.
Each process gathers in memory and adds it up every few seconds: nothing is
written for a message. Two back ends behind one interface: in process, or Redis.
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
    """What every back end promises. Raises `beam.redis.Unavailable`."""

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


_local = per_loop(LocalActivity)


def activity() -> Activity:
    """The running loop's back end: Redis where `REDIS_URL` is set."""
    if conf().redis_url:
        return RedisActivity(redis.batch(), conf().redis_prefix)
    return _local()
