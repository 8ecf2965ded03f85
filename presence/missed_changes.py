"""Finds the topics of whose presence this process has missed changes."""

from __future__ import annotations

from collections.abc import Callable

from presence.redis_tracker import RedisTracker


class MissedChanges:
    """Compares the versions in Redis with those delivered here."""

    def __init__(self, tracker: RedisTracker) -> None:
        self._tracker = tracker
        self._before: dict[str, int] = {}

    async def find(
        self, known: Callable[[], dict[str, int]], latest: Callable[[str], int]
    ) -> list[str]:
        """The topics whose members need a new state.

        `known`: the version up to which all changes of each topic were delivered here.
        `latest`: the highest version that was delivered to a topic. A change that Redis
        had at the previous call must have been delivered by now. A version in Redis
        below the delivered one means that Redis lost data.
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
