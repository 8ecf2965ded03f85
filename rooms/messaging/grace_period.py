"""Owns how members leave presence: at once, or after a grace period."""

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
    """Take presence entries away and tell the topic.

    Where Redis is away the entries go when it is back.
    """
    try:
        diffs().publish(topic, await tracker().untrack(topic, refs))
    except redis.Unavailable:
        metrics.UNTRACK_FAILED.value += len(refs)


async def evict(topic: str, ban: Ban) -> None:
    """End grace periods at once and notify the topic: see `Tracker.evict`.

    Raises `beam.redis.Unavailable`.
    """
    diffs().publish(topic, await tracker().evict(topic, ban))


class GracePeriods:
    """One event loop's members that may come back in time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    async def begin(self, topic: str, ref: str, seconds: float) -> None:
        """Let a member stay for a while; its own session may take it over."""
        try:
            ref, banned = await tracker().leave(topic, ref)
        except redis.Unavailable:
            metrics.UNTRACK_FAILED.value += 1
            return
        if banned:
            await self._expire(topic, ref)
            return
        timer = self._loop.call_later(seconds, self._on_over, topic, ref)
        self._timers[topic, ref] = timer

    def _on_over(self, topic: str, ref: str) -> None:
        del self._timers[topic, ref]
        background_tasks().spawn(self._expire(topic, ref))

    @staticmethod
    async def _expire(topic: str, ref: str) -> None:
        try:
            diffs().publish(topic, await tracker().expire(topic, ref))
        except redis.Unavailable:
            metrics.UNTRACK_FAILED.value += 1

    def stop(self) -> float:
        """Forget all timers; the seconds until the last would have ended."""
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
