"""Finds which processes own the entries in Redis, from the entries themselves.

It is needed for processes whose lease and index Redis lost before they died.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from beam import redis
from presence.redis_keys import digest, topic_digest, topic_keys

SCANNED_AT_ONCE = 1_000


class EntryOwners:
    """The owners of the entries of all topics of a deployment.

    An owner is the id of the process that holds an entry.
    """

    def __init__(self, batch: redis.Batch, prefix: str) -> None:
        self._batch = batch
        self._prefix = prefix

    async def of(self, topic: str) -> set[str]:
        """The owners of the entries of a topic."""
        return await self._of(digest(topic))

    async def elsewhere(self, topics: Iterable[str]) -> dict[str, set[str]]:
        """The owners of the entries of all other topics, by the topic's digest.

        No live process is in these topics, so their names are not known. Scans all
        keys of Redis.
        """
        named = {digest(topic) for topic in topics}
        found: dict[str, set[str]] = {}
        async for one in self._digests():
            if one not in named:
                found[one] = await self._of(one)
        return found

    async def _of(self, topic: str) -> set[str]:
        key = topic_keys(self._prefix, topic).entries
        entries = await self._batch.call("HVALS", key)
        return {entry.split(b" ", 1)[0].decode() for entry in entries}

    async def _digests(self) -> AsyncIterator[str]:
        """The digests of all topics that have entries. `SCAN` may repeat one."""
        pattern, at = topic_keys(self._prefix, "*").entries, 0
        while True:
            command = ("SCAN", at, "MATCH", pattern, "COUNT", SCANNED_AT_ONCE)
            at, found = await self._batch.call(*command)
            for key in found:
                yield topic_digest(key.decode())
            if not (at := int(at)):
                return
