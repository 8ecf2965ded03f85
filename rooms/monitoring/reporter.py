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
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import take_buffer
from rooms.monitoring.process_stats import ProcessStats
from rooms.monitoring.shared_stats import host_processes
from rooms.monitoring.warnings import ERRORS, counter_warnings, recorder
from rooms.protocol.event import Event
from rooms.protocol.identifiers import room_topic
from rooms.records import cleanup, room_overrides
from rooms.records.room_rows import registry

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 1.0
REPORT_EVERY: Final = 5
REPORT_SECONDS: Final = REPORT_EVERY * INTERVAL_SECONDS
RELOAD_EVERY: Final = 60
CLEANUP_SECONDS: Final = 3_600.0
FIRST_CLEANUP_SECONDS: Final = 120.0
# What admins hear: no client may join it.
LIVE_TOPIC: Final = "$beam:live"
UNAVAILABLE = (redis.RedisError, OSError, publisher.Unavailable)

RATES: Final = {
    "joins": ("joins",),
    "messages": ("room_messages",),
    "deliveries": ("events_delivered",),
    "errors": ERRORS,
}


class Reporter:
    """One event loop's beat."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin. Idempotent."""
        if not self._tasks:
            self._begin()
            self._tasks = [
                self._loop.create_task(self._run(self.report, process_stats.lag)),
                self._loop.create_task(self._run(self.write)),
                self._loop.create_task(self._run(self.clean_up)),
            ]

    def _begin(self) -> None:
        recorder.install()
        self._reported = process_stats.current()
        self._intervals = self._writes = 0
        # Not all processes at once, nor each of many starts.
        pause = FIRST_CLEANUP_SECONDS * random.uniform(1.0, 3.0)  # noqa: S311
        self._clean_up_at = self._loop.time() + pause

    async def stop(self) -> None:
        """End, with nothing left unwritten. Does nothing where it never began."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        log_summary.flush()
        host_processes.write(process_stats.current())
        try:
            await self._report_to_admins(process_stats.current())
        except UNAVAILABLE as error:
            logger.debug("The last beat was not told: %r", error)
        await registry.write(_lives)
        await keyring.write()

    async def _run(
        self, work: Callable[[], Awaitable[None]], lag: process_stats.Lag | None = None
    ) -> None:
        while goes_on():
            try:
                await work()
            except UNAVAILABLE as error:
                # The link knows, and tells in one line.
                logger.debug("A beat waits: %r", error)
            except Exception:
                logger.exception("A beat failed; the next one comes")
            began = self._loop.time()
            await asyncio.sleep(INTERVAL_SECONDS)
            if lag is not None:
                lag.seconds = self._loop.time() - began - INTERVAL_SECONDS

    async def report(self) -> None:
        """Tell what is due. Raises `RedisError`, `OSError`, `Unavailable`."""
        now = process_stats.current()
        host_processes.write(now)
        self._intervals += 1
        if self._intervals % REPORT_EVERY == 0:
            await self._report_to_admins(now)

    async def write(self) -> None:
        """Write down, and read, what is due."""
        if self._writes % RELOAD_EVERY == 0:
            await room_overrides.load()
            await keyring.write()
        self._writes += 1
        await registry.write(_lives)

    async def clean_up(self) -> None:
        """Delete rows that are of no use any more, once an hour."""
        if self._loop.time() >= self._clean_up_at:
            self._clean_up_at = self._loop.time() + CLEANUP_SECONDS
            await cleanup.run()

    async def _report_to_admins(self, now: ProcessStats) -> None:
        """Tell admins, unless Redis is away: warnings wait, figures do not."""
        before, self._reported = self._reported, now
        warnings = [*recorder.take(), *counter_warnings(before, now)]
        point = _point(before, now)
        try:
            await activity().add(take_buffer(), now.at)
            await activity().add_report(point, warnings)
        except UNAVAILABLE:
            recorder.put_back(warnings)
            raise
        payload = {"point": point, "warnings": warnings}
        await publisher.published(
            Event(topic=LIVE_TOPIC, name="figures", payload=payload)
        )


def _lives(room_id: str) -> bool:
    return hub().lives(room_topic(room_id))


def _point(before: ProcessStats, now: ProcessStats) -> dict[str, Any]:
    """A process's figures for the live view: gauges as they are, counters a second."""
    seconds = max(0.001, now.at - before.at)

    def rate(names: tuple[str, ...]) -> float:
        grown = sum(now.counters[name] - before.counters[name] for name in names)
        return round(grown / seconds, 2)

    shared = conf().redis_url
    return {
        "at": round(now.at, 2),
        "process": factory.shared()[1].process if shared else ALONE,
        **process_stats.identity(),
        "connections": now.gauges["connections"],
        "members": now.gauges["members"],
        "topics": now.gauges["topics"],
        "memory": now.gauges["memory_bytes"],
        "lag": round(now.gauges["loop_lag_seconds"], 4),
        "cpu": rate(("cpu_seconds",)),
        **{name: rate(names) for name, names in RATES.items()},
    }


@per_loop
def reporter() -> Reporter:
    """The running loop's reporter."""
    return Reporter()
