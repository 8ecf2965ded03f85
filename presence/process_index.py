"""Keeps an index of each process in Redis: the topics in which it has entries.

Other processes read it to reap a dead process, and to list the topics that have
members. An index may also name topics in which its process has no entry any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from beam import redis
from presence.redis_keys import process_topics_key


class ProcessIndex:
    """The indexes of all processes of a deployment, one sorted set per process."""

    def __init__(self, batch: redis.Batch, prefix: str) -> None:
        self._batch = batch
        self._prefix = prefix

    def _key(self, process: str) -> str:
        return process_topics_key(self._prefix, process)

    def add(self, process: str, topic: str) -> None:
        """Add a topic. Redis gets this before all that is sent to it after."""
        self._batch.send("ZADD", self._key(process), 0, topic)

    def remove(self, process: str, topic: str) -> None:
        """Remove a topic. Redis gets this after all that was sent to it before."""
        self._batch.send("ZREM", self._key(process), topic)

    async def topics_of(self, process: str) -> Sequence[str]:
        """The topics in which a process has, or may have, entries."""
        found = await self._batch.call("ZRANGE", self._key(process), 0, -1)
        return [topic.decode() for topic in found]

    async def topics_between(
        self, process: str, prefix: str, after: str, limit: int
    ) -> Sequence[str]:
        """A process's topics after `after` that begin with `prefix`.

        At most `limit`, in the order of their UTF-8 bytes.
        """
        first = f"({after}" if after.encode() >= prefix.encode() else f"[{prefix}"
        # No UTF-8 text has this byte.
        last = b"[" + prefix.encode() + b"\xff"
        command = ("ZRANGEBYLEX", self._key(process), first, last)
        found = await self._batch.call(*command, "LIMIT", 0, limit)
        return [topic.decode() for topic in found]

    async def rewrite(self, process: str, topics: Sequence[str]) -> None:
        """Replace a process's index by these topics."""
        key = self._key(process)
        adding = [("ZADD", key, 0, topic) for topic in topics]
        await self._batch.calls([("DEL", key), *adding])

    async def delete(self, process: str) -> None:
        """Delete the index of a process that has no entries any more."""
        await self._batch.call("DEL", self._key(process))
