"""Coordinates one process with the other processes of the deployment, over Redis.

A loop renews the lease, reaps dead processes and probes Redis. After an outage, or if
messages may have been lost, it restores the entries of this process in Redis and
notifies members.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from beam import redis
from beam.config.conf import conf
from beam.loops import not_cancelled
from beam.telemetry import metrics
from presence.cluster import Cluster
from presence.leases import Leases
from presence.missed_changes import MissedChanges
from presence.redis_tracker import RedisTracker
from presence.state import Diff
from rooms.messaging.hub import hub
from rooms.runtime import lease_renewal, resync
from rooms.runtime.close_again import RoomCloser
from rooms.runtime.outage import FIRST_DELAY, Outage
from rooms.runtime.processes import describe
from rooms.runtime.waiting import wait_for

logger = logging.getLogger(__name__)

# The interval of probes: how soon a silent loss of Redis is detected.
PROBE_SECONDS = 1.0


class Coordinator:
    """The loop, and the task that renews the lease while a turn takes long."""

    def __init__(
        self,
        tracker: RedisTracker,
        leases: Leases,
        layer: Any,
        publish: Callable[[str, Diff], None],
        room_closer: RoomCloser,
    ) -> None:
        """`layer`: the channel layer of this loop. `publish`: sends presence diffs."""
        self._loop = asyncio.get_running_loop()
        self._leases = leases
        self._layer = layer
        self._room_closer = room_closer
        self._cluster = Cluster(tracker, leases, publish)
        self._missed = MissedChanges(tracker)
        self._outage = Outage()
        self._woken = asyncio.Event()
        self._gap = False
        self._renewal = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the loop."""
        self._tasks = [
            self._loop.create_task(self._run()),
            self._loop.create_task(lease_renewal.keep_renewed(self._leases)),
        ]

    async def stop(self, grace: float) -> None:
        """Stop the loop and release the lease.

        `grace`: seconds until the last grace period is over.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await lease_renewal.release(grace)

    def note_gap(self) -> None:
        """Recover at the next turn: recent messages may be lost, here or elsewhere."""
        self._gap = True
        self._woken.set()

    def renew_soon(self) -> None:
        """Begin the next turn now, with a renewal."""
        self._renewal = 0.0
        self._woken.set()

    @property
    def is_subscribed(self) -> bool:
        """Whether events of other processes arrive, as far as this process knows."""
        return bool(getattr(self._layer, "proved", True))

    async def _run(self) -> None:
        while not_cancelled():
            try:
                await self._turn()
            except redis.Unavailable as error:
                # The link logs an outage in one line.
                logger.debug("Waiting for Redis: %r", error)
                await asyncio.sleep(FIRST_DELAY)
                continue
            except Exception:
                logger.exception("The coordinator failed; it is tried again")
                await asyncio.sleep(PROBE_SECONDS)
                continue
            due = self._renewal - self._loop.time()
            await wait_for(self._woken, min(PROBE_SECONDS, due))
            self._woken.clear()

    async def _turn(self) -> None:
        link = redis.link()
        if not link.up:
            await self._outage.wait_for_end()
            self._renewal = 0.0
        if self._loop.time() >= self._renewal:
            await self._renew()
        elif link.up:
            await redis.batch().probe()
        if self._gap and link.up:
            await self._recover()

    async def _renew(self) -> None:
        await self._room_closer.after_renewal(self._cluster.renew(describe()))
        pause = conf().lease_renew * random.uniform(0.8, 1.0)  # noqa: S311
        self._renewal = self._loop.time() + pause
        if not self._gap:
            await self._send_missed_presence()

    async def _recover(self) -> None:
        """Restore the entries of this process, and notify members of the gap."""
        if hasattr(self._layer, "verify"):
            await self._layer.verify()
        self._gap = False
        try:
            await self._cluster.reconcile()
            topics = list(hub().presence_versions())
            await resync.announce_gap(topics)
        except redis.Unavailable:
            self._gap = True
            raise
        metrics.GAPS.value += len(topics)
        logger.info("Sent beam_gap to %d rooms: events may have been lost", len(topics))

    async def _send_missed_presence(self) -> None:
        """Send a fresh state to topics that have missed a presence change."""
        behind = await self._missed.find(hub().presence_versions, hub().latest_version)
        metrics.RESYNCED.value += len(behind)
        await resync.send_state(behind)
