"""Owns this process's place among the others, and what it owes its own members.

Renews the lease and asks whether Redis is there. After Redis was away, or
messages may have been missed, members get a fresh state and are told.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from typing import Any

import orjson
from channels.layers import get_channel_layer

from beam import redis
from beam.config.conf import conf
from beam.loops import goes_on, per_loop
from beam.telemetry import metrics
from presence import factory
from presence.cluster import Cluster, in_batches
from presence.leases import Leases
from presence.missed_changes import MissedChanges
from presence.state import Diff, Snapshot
from presence.tracker import ALONE
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import DISCONNECT, LOGGED_OUT, connections
from rooms.messaging.grace_period import grace_periods
from rooms.messaging.hub import hub
from rooms.messaging.presence_diffs import diffs
from rooms.messaging.presence_order import PRESENCE_STATE
from rooms.monitoring import process_stats
from rooms.monitoring.reporter import reporter
from rooms.protocol.event import Delivery, Event
from rooms.records import room_overrides
from rooms.records.upkeep import Upkeep

logger = logging.getLogger(__name__)

# How soon a silent loss of Redis is noticed.
LOOK_SECONDS = 1.0
FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
# An outage that begins so soon after the last one is not ended at once.
FLAPPING_SECONDS = 10.0
LISTINGS = 5
# How long a join waits for the database to say which rooms are closed.
CLOSED_SECONDS = 2.0
ASK_SECONDS = 5.0
SOON = 0.001
# Tells members that events may have been missed, so that they fetch again.
GAP = "beam_gap"


def describe() -> dict[str, Any]:
    """What this process tells the others of itself."""
    return process_stats.identity() | {
        "sockets": len(connections),
        "rooms": hub().rooms(),
    }


async def processes() -> list[dict[str, Any]]:
    """Every live process: id, host, pid, started, sockets, rooms.

    Raises `beam.redis.Unavailable`.
    """
    if not conf().redis_url:
        return [{"id": ALONE} | describe()]
    _, leases = factory.shared()
    return await leases.processes()


def _tell(topic: str, change: Diff) -> None:
    diffs().publish(topic, change)


class Runtime:
    """One event loop's part in the cluster. Idle where there is no Redis."""

    def __init__(self, upkeep: Upkeep | None = None) -> None:
        """`upkeep`: what reads and writes the database; tests pass a fake."""
        self._upkeep = Upkeep() if upkeep is None else upkeep
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._lease_task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._layer: Any = None
        self._started = self._gap = False
        self._closed_known = asyncio.Event()
        # Whether gates may be open that the database says are shut.
        self._close_due = True
        self._retry: asyncio.TimerHandle | None = None
        self._renewal = 0.0
        self._recovered = -math.inf

    def start(self) -> None:
        """Take part. Idempotent."""
        if self._started:
            return
        self._started = True
        mine = hub()
        mine.control.register(DISCONNECT, connections.disconnect)
        mine.control.register(LOGGED_OUT, connections.log_out)
        mine.control.register(room_overrides.CHANGED, self._on_overrides)
        if not mine.is_alive:
            background_tasks().spawn(mine.start())
        reporter().start()
        self._upkeep.start()
        if not conf().redis_url:
            background_tasks().spawn(self._close_again())
            return
        redis.link().on_down = self._on_gap
        layer: Any = get_channel_layer()
        self._layer = layer.here() if hasattr(layer, "here") else layer
        self._layer.on_gap = self._on_gap
        tracker, leases = factory.shared()
        self._cluster = Cluster(tracker, leases, _tell)
        self._missed = MissedChanges(tracker)
        self._task = self._loop.create_task(self._run())
        self._lease_task = self._loop.create_task(self._keep_lease(leases))

    @property
    def subscribed(self) -> bool:
        """Whether this process hears what is published, as far as it knows."""
        return bool(getattr(self._layer, "proved", True))

    async def closed_known(self) -> None:
        """Wait until it is known which rooms are closed, but not for long."""
        if not self._closed_known.is_set():
            await _any_of(self._closed_known, CLOSED_SECONDS)

    def _on_overrides(self, delivery: Delivery) -> None:
        changes = orjson.loads(delivery.payload)
        background_tasks().spawn(self._upkeep.overrides_changed(changes))

    async def _close_again(self) -> None:
        """Close what is closed; where the database cannot tell, ask it later."""
        if not await self._upkeep.close_rooms():
            later = self._loop.call_later(ASK_SECONDS, self._ask_again)
            self._retry = later
        self._closed_known.set()

    def _ask_again(self) -> None:
        if self._task is None:
            background_tasks().spawn(self._close_again())
        else:
            # With what comes of a Redis that is away then.
            self._close_due, self._renewal = True, 0.0
            self._woken.set()

    async def stop(self) -> None:
        """Give up the lease; who is in a grace period stays until its end."""
        left = grace_periods().stop()
        self._started = False
        if self._retry is not None:
            self._retry.cancel()
        if self._task is not None and self._lease_task is not None:
            self._task.cancel()
            self._lease_task.cancel()
            tasks = (self._task, self._lease_task)
            await asyncio.gather(*tasks, return_exceptions=True)
            self._task = self._lease_task = None
            await self._give_up(left)
        # Last: the database, which may be what holds everything up.
        await reporter().stop()
        await self._upkeep.stop()

    @staticmethod
    async def _give_up(left: float) -> None:
        """End the lease. `left`: seconds until the last grace period is over."""
        tracker, leases = factory.shared()
        try:
            if left or tracker.topics():
                # What Redis could not be told: another process takes it out.
                await leases.release(max(left, SOON))
            else:
                await tracker.index.delete(leases.process)
                await leases.release()
        except redis.Unavailable:
            logger.warning("The lease could not be given up: it runs out")

    def _on_gap(self) -> None:
        """Whatever was sent a moment ago may be lost, here or elsewhere."""
        self._gap = True
        self._woken.set()

    @staticmethod
    async def _keep_lease(leases: Leases) -> None:
        """Renew the lease also while a turn takes long, as where many died at once."""
        while True:
            await asyncio.sleep(conf().lease_renew / 2)
            if not redis.link().up:
                continue
            try:
                await leases.renew_if_due()
            except redis.Unavailable:
                logger.debug("The lease could not be kept", exc_info=True)
            except Exception:
                logger.exception("The lease could not be kept")

    async def _run(self) -> None:
        while goes_on():
            try:
                await self._turn()
            except redis.Unavailable as error:
                # The link knows, and tells in one line.
                logger.debug("The runtime waits: %r", error)
                await asyncio.sleep(FIRST_DELAY)
                continue
            except Exception:
                logger.exception("The runtime failed; it goes on")
                await asyncio.sleep(LOOK_SECONDS)
                continue
            due = self._renewal - self._loop.time()
            await _any_of(self._woken, min(LOOK_SECONDS, due))
            self._woken.clear()

    async def _turn(self) -> None:
        link = redis.link()
        if not link.up:
            await self._wait_for_redis()
        if self._loop.time() >= self._renewal:
            await self._renew()
        elif link.up:
            await redis.batch().probe()
        if self._gap and link.up:
            await self._recover()

    async def _wait_for_redis(self) -> None:
        """Probe until it takes writes, less and less often; not all at once."""
        delay, longest = FIRST_DELAY, min(LONGEST_DELAY, conf().lease_renew)
        if self._loop.time() - self._recovered < FLAPPING_SECONDS:
            await asyncio.sleep(longest)
        while not await self._serves():
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, longest)
        redis.link().answered()
        self._recovered, self._renewal = self._loop.time(), 0.0

    @staticmethod
    async def _serves() -> bool:
        """Whether Redis takes writes, over a new connection.

        If it was a replica, everything connects again.
        """
        if redis.link().moved:
            await redis.reconnect()
        else:
            await redis.drop_idle()
        return await redis.batch().probe()

    async def _renew(self) -> None:
        due, self._close_due = self._close_due, True
        # Where this raises they may have been lost as well.
        known = await self._cluster.renew(describe())
        if due or not known:
            await self._close_again()
        self._close_due = False
        self._closed_known.set()
        pause = conf().lease_renew * random.uniform(0.8, 1.0)  # noqa: S311
        self._renewal = self._loop.time() + pause
        if not self._gap:
            await self._check()

    async def _recover(self) -> None:
        """Put back what this process holds; tell who may have missed something."""
        if hasattr(self._layer, "verify"):
            await self._layer.verify()
        self._gap = False
        try:
            await self._cluster.reconcile()
            topics = list(hub().followed())
            await in_batches(self._tell_gap, topics)
        except redis.Unavailable:
            self._gap = True
            raise
        metrics.GAPS.value += len(topics)
        text = "%d rooms were told that they may have missed events"
        logger.info(text, len(topics))

    @staticmethod
    async def _tell_gap(topic: str) -> None:
        _resync(topic, await _current(topic), gap=True)

    async def _check(self) -> None:
        """Give a fresh state to rooms that have missed a change of presence."""
        behind = await self._missed.find(hub().followed, hub().latest)
        metrics.RESYNCED.value += len(behind)
        await in_batches(self._give_state, behind)

    @staticmethod
    async def _give_state(topic: str) -> None:
        _resync(topic, await _current(topic), gap=False)


def _resync(topic: str, snapshot: Snapshot, *, gap: bool) -> None:
    """Give this process's members of a topic a fresh presence state.

    `gap`: and tell them that they may have missed events.
    """
    events = [Event(topic=topic, name=GAP, payload={})] if gap else []
    events.append(
        Event(
            topic=topic,
            name=PRESENCE_STATE,
            payload=snapshot.state,
            version=snapshot.version,
        )
    )
    for event in events:
        hub().deliver(event.pack())


async def _current(topic: str) -> Snapshot:
    """Who is here, no older than what members were told.

    Changes come by a connection of their own, and may overtake an answer. A
    Redis that lost its data and has a slower clock stays behind: so be it.
    """
    for _ in range(LISTINGS):
        snapshot = await factory.tracker().list(topic)
        if snapshot.version >= hub().latest(topic):
            break
    return snapshot


async def _any_of(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


@per_loop
def runtime() -> Runtime:
    """The running loop's runtime."""
    return Runtime()
