"""Owns the beat of this process: what it tells of itself, and writes down, by time.

Every second its figures go to its siblings, every 5 s admins are told what
happened. Beside that, so that a database that hangs holds up nothing else: every
second new rooms are written down, every minute settings of rooms are read anew and
last uses of API keys written. What waits at the end is written then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from beam import redis
from beam.config.conf import conf
from beam.loops import goes_on, per_loop
from beam.telemetry import log_summary
from presence import factory
from presence.tracker import ALONE
from rooms.auth.api_keys import keyring
from rooms.messaging import publisher
from rooms.messaging.hub import hub
from rooms.monitoring import process_stats
from rooms.monitoring.activity import activity, gather
from rooms.monitoring.process_stats import Figures
from rooms.monitoring.shared_stats import siblings
from rooms.monitoring.warnings import ERRORS, grown, recorder
from rooms.protocol.event import Event
from rooms.protocol.identifiers import room_topic
from rooms.records import cleanup, room_overrides
from rooms.records.room_rows import registry

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0
TELL_BEATS: Final = 5
TELL_SECONDS: Final = TELL_BEATS * BEAT_SECONDS
SLOW_BEATS: Final = 60
FORGET_SECONDS: Final = 3_600.0
FIRST_FORGET_SECONDS: Final = 120.0
# What admins hear: no client may join it.
LIVE_TOPIC: Final = "$beam:live"
AWAY = (redis.RedisError, OSError, publisher.Unavailable)

RATES: Final = {
    "joins": ("joins",),
    "messages": ("room_messages",),
    "deliveries": ("events_delivered",),
    "errors": ERRORS,
}


class Pulse:
    """One event loop's beat."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin. Idempotent."""
        if not self._tasks:
            self._begin()
            self._tasks = [
                self._loop.create_task(self._run(self.beat, process_stats.lag)),
                self._loop.create_task(self._run(self.write)),
                self._loop.create_task(self._run(self.forget)),
            ]

    def _begin(self) -> None:
        recorder.install()
        self._told = process_stats.take()
        self._beats = self._writes = 0
        # Not all processes at once, nor each of many starts.
        pause = FIRST_FORGET_SECONDS * random.uniform(1.0, 3.0)  # noqa: S311
        self._forget_at = self._loop.time() + pause

    async def stop(self) -> None:
        """End, with nothing left unwritten. Does nothing where it never began."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        log_summary.flush()
        siblings.write(process_stats.take())
        try:
            await self._tell(process_stats.take())
        except AWAY as error:
            logger.debug("The last beat was not told: %r", error)
        await registry.write(_lives)
        await keyring.write()

    async def _run(
        self, beat: Callable[[], Awaitable[None]], lag: process_stats.Lag | None = None
    ) -> None:
        while goes_on():
            try:
                await beat()
            except AWAY as error:
                # The link knows, and tells in one line.
                logger.debug("A beat waits: %r", error)
            except Exception:
                logger.exception("A beat failed; the next one comes")
            began = self._loop.time()
            await asyncio.sleep(BEAT_SECONDS)
            if lag is not None:
                lag.seconds = self._loop.time() - began - BEAT_SECONDS

    async def beat(self) -> None:
        """Tell what is due. Raises `RedisError`, `OSError`, `Unavailable`."""
        now = process_stats.take()
        siblings.write(now)
        self._beats += 1
        if self._beats % TELL_BEATS == 0:
            await self._tell(now)

    async def write(self) -> None:
        """Write down, and read, what is due."""
        if self._writes % SLOW_BEATS == 0:
            await room_overrides.load()
            await keyring.write()
        self._writes += 1
        await registry.write(_lives)

    async def forget(self) -> None:
        """Delete rows that are of no use any more, once an hour."""
        if self._loop.time() >= self._forget_at:
            self._forget_at = self._loop.time() + FORGET_SECONDS
            await cleanup.run()

    async def _tell(self, now: Figures) -> None:
        """Tell admins, unless Redis is away: warnings wait, figures do not."""
        before, self._told = self._told, now
        warnings = [*recorder.take(), *grown(before, now)]
        point = _point(before, now)
        try:
            await activity().add(gather(), now.at)
            await activity().tell(point, warnings)
        except AWAY:
            recorder.put_back(warnings)
            raise
        payload = {"point": point, "warnings": warnings}
        await publisher.published(
            Event(topic=LIVE_TOPIC, name="figures", payload=payload)
        )


def _lives(room_id: str) -> bool:
    return hub().lives(room_topic(room_id))


def _point(before: Figures, now: Figures) -> dict[str, Any]:
    """A process's figures for the live view: gauges as they are, counters a second."""
    seconds = max(0.001, now.at - before.at)

    def rate(names: tuple[str, ...]) -> float:
        grown = sum(now.counters[name] - before.counters[name] for name in names)
        return round(grown / seconds, 2)

    shared = conf().redis_url
    return {
        "at": round(now.at, 2),
        "process": factory.shared()[1].process if shared else ALONE,
        **process_stats.who(),
        "connections": now.gauges["connections"],
        "members": now.gauges["members"],
        "topics": now.gauges["topics"],
        "memory": now.gauges["memory_bytes"],
        "lag": round(now.gauges["loop_lag_seconds"], 4),
        "cpu": rate(("cpu_seconds",)),
        **{name: rate(names) for name, names in RATES.items()},
    }


@per_loop
def pulse() -> Pulse:
    """The running loop's pulse."""
    return Pulse()
