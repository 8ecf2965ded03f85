"""Finds the topics of whose presence this process has missed changes."""

from __future__ import annotations

from collections.abc import Callable

from presence.redis_tracker import RedisTracker


class MissedChanges:
    """Finds the topics of which this process has missed changes."""

    def __init__(self, tracker: RedisTracker) -> None:
        self._tracker = tracker
        self._before: dict[str, int] = {}

    async def find(
        self, known: Callable[[], dict[str, int]], latest: Callable[[str], int]
    ) -> list[str]:
        """The topics whose members need a fresh state.

        `known`: up to which version each topic's changes were delivered here.
        `latest`: the highest version that was. A change that was in Redis at the
        last look should have come by now; a Redis that is behind what was
        delivered has lost it.
        """
        delivered = {topic: latest(topic) for topic in known()}
        versions = await self._tracker.versions([*delivered])
        found = dict(zip(delivered, versions, strict=True))
        before, self._before = self._before, found
        return [
            topic
            for topic, version in known().items()
            if before.get(topic, 0) > version
            or found.get(topic, version) < delivered.get(topic, version)
        ]
