"""Owns grace periods: members stay present for a time after a lost connection."""

from __future__ import annotations

import asyncio

from beam import redis
from beam.loops import per_loop
from beam.telemetry import metrics
from presence.admission import Ban
from presence.factory import tracker
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.presence_diffs import diffs


async def untrack(topic: str, refs: list[str]) -> None:
    """Remove presence entries, and send the diff to the topic.

    If Redis is unavailable, the entries are removed when it is back.
    """
    try:
        diffs().publish(topic, await tracker().untrack(topic, refs))
    except redis.Unavailable:
        metrics.UNTRACK_FAILED.value += len(refs)


async def end_grace(topic: str, ban: Ban) -> None:
    """End grace periods at once, and send the diff: see `Tracker.end_grace`.

    Raises `beam.redis.Unavailable`.
    """
    diffs().publish(topic, await tracker().end_grace(topic, ban))


class GracePeriods:
    """The grace periods of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    async def begin(self, topic: str, ref: str, seconds: float) -> None:
        """Keep an entry for some seconds; a join of its session takes it over."""
        try:
            ref, banned = await tracker().leave(topic, ref)
        except redis.Unavailable:
            metrics.UNTRACK_FAILED.value += 1
            return
        if banned:
            await self._expire(topic, ref)
            return
        timer = self._loop.call_later(seconds, self._on_end, topic, ref)
        self._timers[topic, ref] = timer

    def _on_end(self, topic: str, ref: str) -> None:
        del self._timers[topic, ref]
        background_tasks().spawn(self._expire(topic, ref))

    @staticmethod
    async def _expire(topic: str, ref: str) -> None:
        try:
            diffs().publish(topic, await tracker().expire(topic, ref))
        except redis.Unavailable:
            metrics.UNTRACK_FAILED.value += 1

    def stop(self) -> float:
        """Cancel all timers. Returns the seconds until the last would have ended."""
        now = self._loop.time()
        left = [timer.when() - now for timer in self._timers.values()]
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        return max(left, default=0.0)


@per_loop
def grace_periods() -> GracePeriods:
    """The running loop's grace periods."""
    return GracePeriods()
