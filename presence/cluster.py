"""What a process does so that presence in Redis stays right.

It renews its lease, reaps processes whose lease expired, and adds entries of its own
that Redis lost. Diffs go to a callback, one topic at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from beam.telemetry import metrics
from presence.leases import UNREGISTERED, Leases
from presence.redis_tracker import RedisTracker
from presence.state import Diff

logger = logging.getLogger(__name__)

BATCH_SIZE = 200

Publish = Callable[[str, Diff], None]
T = TypeVar("T")


class Cluster:
    """Renews the lease of a process, reaps dead processes, and reconciles.

    Every method raises `beam.redis.Unavailable`.
    It may be called again, and then continues.
    """

    def __init__(self, tracker: RedisTracker, leases: Leases, publish: Publish) -> None:
        self._tracker = tracker
        self._leases = leases
        self._publish = publish
        self._known = False
        self._former = leases.process

    async def renew(self, info: dict[str, Any]) -> bool:
        """Renew the lease, reap dead processes, and reconcile uncertain topics.

        `info`: what other processes see of this one. Returns whether Redis knew the
        lease; if not, it may have lost all its data.
        """
        renewal = await self._leases.renew(info)
        if not renewal.known and self._known:
            logger.warning("This process lost its lease: its members are restored")
            self._leases.change_id()
            await self._leases.renew(info)
        self._known = True
        if self._former != self._leases.process:
            await self.reconcile()
        else:
            await in_batches(self._reconcile_topic, self._tracker.uncertain_topics())
        for process in renewal.to_reap:
            if process == UNREGISTERED:
                await self._reap_unregistered()
            else:
                await self._reap(process)
            await self._leases.remove_claim(process)
        return renewal.known

    async def reconcile(self) -> None:
        """Make Redis agree with the entries that this process holds, in every topic."""
        tracker, former = self._tracker, self._former
        await in_batches(self._reconcile_topic, tracker.topics())
        await tracker.index.rewrite(tracker.process(), tracker.topics())
        if former != self._leases.process:
            await tracker.index.delete(former)
            self._former = self._leases.process

    async def _reconcile_topic(self, topic: str) -> None:
        self._publish(topic, await self._tracker.reconcile(topic, self._former))

    async def _reap(self, process: str) -> None:
        """Remove a dead process's entries, then its index."""
        topics = await self._tracker.index.topics_of(process)

        async def reap(topic: str) -> int:
            return self._publish_leaves(topic, await self._tracker.reap(topic, process))

        members = sum(await in_batches(reap, topics))
        await self._tracker.index.delete(process)
        metrics.REAPED.value += 1
        if topics:
            text = "Process %s is gone: removed %d members of %d topics"
            logger.warning(text, process, members, len(topics))

    async def _reap_unregistered(self) -> None:
        """Remove the entries of processes whose lease Redis lost before they died."""
        tracker = self._tracker
        live, _ = await self._leases.live_and_dead()
        topics = {
            t
            for each in await in_batches(tracker.index.topics_of, [*live])
            for t in each
        }
        named = {topic: await tracker.entry_owners.of(topic) for topic in topics}
        nameless = await tracker.entry_owners.elsewhere(topics)
        # Read again: the owner of an entry had its lease before it added the entry.
        live, dead = await self._leases.live_and_dead()
        members = 0
        for topic, owners in named.items():
            for owner in owners - live - dead:
                members += self._publish_leaves(topic, await tracker.reap(topic, owner))
        for digest, owners in nameless.items():
            for owner in owners - live - dead:
                members += await tracker.reap_elsewhere(digest, owner)
        if members:
            logger.warning("Removed %d members of processes without a lease", members)

    def _publish_leaves(self, topic: str, gone: Diff) -> int:
        """Publish the diff of removed entries. Returns how many there are."""
        self._publish(topic, gone)
        return sum(len(presence["metas"]) for presence in gone.leaves.values())


async def in_batches(
    work: Callable[[str], Awaitable[T]], topics: Sequence[str]
) -> list[T]:
    """Call `work` for every topic, `BATCH_SIZE` at a time. The results, in order."""
    done: list[T] = []
    for at in range(0, len(topics), BATCH_SIZE):
        part = topics[at : at + BATCH_SIZE]
        done += await asyncio.gather(*map(work, part))
    return done
