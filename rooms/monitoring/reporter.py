"""Reports the statistics and recent activity of this process.

Every second it writes the statistics for the processes of this host. Every 5 s it adds
statistics, activity and warnings to the recent activity, and sends them to the admins
that watch. What waits when it stops is reported then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from beam import redis
from beam.config.conf import conf
from beam.loops import not_cancelled, per_loop
from beam.telemetry import log_summary
from presence import factory
from presence.tracker import ALONE
from rooms.messaging import publisher
from rooms.monitoring import process_stats
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import take_buffer
from rooms.monitoring.host_stats import host_processes
from rooms.monitoring.process_stats import ProcessStats
from rooms.monitoring.warnings import ERROR_COUNTERS, counter_warnings, recorder
from rooms.protocol.event import Event

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 1.0
REPORT_EVERY: Final = 5
REPORT_SECONDS: Final = REPORT_EVERY * INTERVAL_SECONDS
# The topic of the live view. Clients cannot join it.
LIVE_TOPIC: Final = "$beam:live"

RATES: Final = {
    "joins": ("joins",),
    "messages": ("room_messages",),
    "deliveries": ("events_delivered",),
    "errors": ERROR_COUNTERS,
}


class Reporter:
    """Reports by time, in one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reporting. A second call does nothing."""
        if self._task is None:
            self._begin()
            self._task = self._loop.create_task(self._run())

    def _begin(self) -> None:
        recorder.install()
        self._reported = process_stats.current()
        self._intervals = 0

    async def stop(self) -> None:
        """Report what waits, and stop. Does nothing if it was not started."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        log_summary.flush()
        host_processes.write(process_stats.current())
        try:
            await self._report_to_admins(process_stats.current())
        except redis.Unavailable as error:
            logger.debug("The last report was not sent: %r", error)

    async def _run(self) -> None:
        while not_cancelled():
            try:
                await self.report()
            except redis.Unavailable as error:
                # `beam.redis` logs that Redis is unavailable, once.
                logger.debug("A report waits: %r", error)
            except Exception:
                logger.exception("A report failed; the next one follows in a second")
            began = self._loop.time()
            await asyncio.sleep(INTERVAL_SECONDS)
            process_stats.lag.record(self._loop.time() - began - INTERVAL_SECONDS)

    async def report(self) -> None:
        """Report what is due. Raises `beam.redis.Unavailable`."""
        now = process_stats.current()
        host_processes.write(now)
        self._intervals += 1
        if self._intervals % REPORT_EVERY == 0:
            await self._report_to_admins(now)

    async def _report_to_admins(self, now: ProcessStats) -> None:
        """Add to the recent activity, and send to the admins that watch.

        If Redis is unavailable the warnings wait; this point is lost.
        """
        before, self._reported = self._reported, now
        warnings = [*recorder.take(), *counter_warnings(before, now)]
        point = _point(before, now)
        try:
            await activity().add(take_buffer(), now.at)
            await activity().add_report(point, warnings)
        except redis.Unavailable:
            recorder.put_back(warnings)
            raise
        payload = {"point": point, "warnings": warnings}
        await publisher.published(
            Event(topic=LIVE_TOPIC, name="figures", payload=payload)
        )


def _point(before: ProcessStats, now: ProcessStats) -> dict[str, Any]:
    """The point of the live view: gauges as they are, counters as rates per second."""
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
