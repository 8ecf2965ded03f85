"""Owns this process's place among the others: its lease, and what it owes its rooms.

A process that dies is found by its lease; another takes its members out of
presence and tells. After Redis was away, or messages may have been missed, each
process puts back what it holds and tells its own members.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer

from beam import metrics, redis
from beam.conf import conf
from presence import backend
from rooms.connections import connections
from rooms.diffs import diffs
from rooms.hub import hub

logger = logging.getLogger(__name__)

STARTED = time.time()
# How soon a silent loss of Redis is noticed.
LOOK_SECONDS = 1.0
FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
TOPICS_AT_ONCE = 200
ERRORS = (redis.RedisError, OSError)

T = TypeVar("T")


def describe() -> dict[str, Any]:
    """What this process tells the others of itself."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": int(STARTED),
        "sockets": len(connections),
        "rooms": hub().rooms(),
    }


async def untrack(topic: str, refs: list[str]) -> None:
    """Take presence entries away and tell the topic.

    Where Redis is away the entries go when it is back.
    """
    try:
        diffs().publish(topic, await backend.tracker().untrack(topic, refs))
    except ERRORS:
        metrics.UNTRACK_FAILED.value += len(refs)


async def processes() -> list[dict[str, Any]]:
    """Every live process: id, host, pid, started, sockets, rooms. `RedisError`."""
    if not conf().redis_url:
        return [{"id": "local"} | describe()]
    _, leases = backend.shared()
    return await leases.processes()


class Keeper:
    """One event loop's part in the cluster. Idle where there is no Redis."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._layer: Any = None
        self._known = False
        self._former = ""
        self._reconcile = self._gap = False
        self._versions: dict[str, int] = {}
        self._renewal = 0.0
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Take part. Idempotent."""
        if self._task is not None or not conf().redis_url:
            return
        redis.link().on_down = self._on_down
        layer: Any = get_channel_layer()
        self._layer = layer.here() if hasattr(layer, "here") else layer
        self._layer.on_gap = self._on_gap
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Give up the lease; who is in a grace period stays until its end."""
        left = [timer.when() - self._loop.time() for timer in self._timers.values()]
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        tracker, leases = backend.shared()
        try:
            if not left:
                await tracker.forget(leases.process)
            await leases.end(max(left, default=0.0))
        except ERRORS:
            logger.warning("The lease could not be given up: it runs out")

    async def linger(self, topic: str, ref: str, seconds: float) -> None:
        """Let a member that lost its connection stay for a while."""
        try:
            await backend.tracker().leave(topic, ref)
        except ERRORS:
            metrics.UNTRACK_FAILED.value += 1
            return
        timer = self._loop.call_later(seconds, self._on_grace_over, topic, ref)
        self._timers[topic, ref] = timer

    def _on_grace_over(self, topic: str, ref: str) -> None:
        del self._timers[topic, ref]
        hub().spawn(self._expire(topic, ref))

    async def _expire(self, topic: str, ref: str) -> None:
        try:
            diffs().publish(topic, await backend.tracker().expire(topic, ref))
        except ERRORS:
            metrics.UNTRACK_FAILED.value += 1

    def _on_down(self) -> None:
        # Whatever was sent meanwhile may be lost, here or elsewhere.
        self._reconcile = self._gap = True
        self._woken.set()

    def _on_gap(self) -> None:
        self._reconcile = self._gap = True
        self._woken.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except ERRORS as error:
                # The link knows, and tells in one line.
                logger.debug("The keeper waits: %r", error)
                await asyncio.sleep(FIRST_DELAY)
                continue
            except Exception:
                logger.exception("The keeper failed; it goes on")
                await asyncio.sleep(LOOK_SECONDS)
                continue
            await _any_of(self._woken, LOOK_SECONDS)
            self._woken.clear()

    async def _turn(self) -> None:
        if not redis.link().up:
            await self._wait_for_redis()
        elif self._loop.time() < self._renewal:
            await redis.batch().ping()
        if redis.link().up and self._loop.time() >= self._renewal:
            await self._renew()
        if redis.link().up and self._reconcile:
            await self._recover()

    async def _wait_for_redis(self) -> None:
        """Ask until it answers, less and less often; not all processes at once."""
        delay = FIRST_DELAY
        while not await redis.batch().ping():
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, LONGEST_DELAY)
        redis.link().answered()
        self._renewal = 0.0

    async def _renew(self) -> None:
        _, leases = backend.shared()
        beat = await leases.beat(describe())
        if not beat.known and self._known:
            logger.warning("This process's lease is gone: its members are put back")
            self._former = leases.renew_id()
            self._reconcile = True
            await leases.beat(describe())
        self._known = True
        self._renewal = self._loop.time() + conf().lease_renew * random.uniform(  # noqa: S311
            0.8, 1.0
        )
        for process in beat.dead:
            await self._reap(process)
        if not self._reconcile:
            await self._check()

    async def _reap(self, process: str) -> None:
        """Take a dead process's members out of presence, and tell their rooms."""
        tracker, leases = backend.shared()
        topics = await tracker.topics_of(process)

        async def reap(topic: str) -> int:
            gone = await tracker.reap(topic, process)
            diffs().publish(topic, gone)
            return len(gone.leaves)

        members = sum(await _in_parts(reap, topics))
        await tracker.forget(process)
        await leases.bury(process)
        metrics.REAPED.value += 1
        if topics:
            logger.warning(
                "Process %s is gone: %d members of %d topics were taken out",
                process,
                members,
                len(topics),
            )

    async def _recover(self) -> None:
        """Put back what this process holds; tell who may have missed something."""
        if self._gap and hasattr(self._layer, "verify"):
            await self._layer.verify()
        gap, self._reconcile, self._gap = self._gap, False, False
        tracker, leases = backend.shared()
        former = self._former or leases.process
        try:
            await _in_parts(self._put_back(former), tracker.topics())
            await tracker.index()
            if former != leases.process:
                await tracker.forget(former)
                self._former = ""
            if gap:
                topics = list(hub().followed())
                metrics.GAPS.value += len(topics)
                await _in_parts(self._tell_gap, topics)
                logger.info(
                    "%d rooms were told that they may have missed events", len(topics)
                )
        except ERRORS:
            self._reconcile, self._gap = True, gap
            raise

    @staticmethod
    def _put_back(former: str) -> Callable[[str], Awaitable[None]]:
        tracker, _ = backend.shared()

        async def put_back(topic: str) -> None:
            diffs().publish(topic, await tracker.reconcile(topic, former))

        return put_back

    @staticmethod
    async def _tell_gap(topic: str) -> None:
        snapshot = await backend.tracker().list(topic)
        hub().resync(topic, snapshot, gap=True)

    async def _check(self) -> None:
        """Give a fresh state to rooms that have missed a change of presence.

        A change that was there a check ago should have come by now.
        """
        tracker, _ = backend.shared()
        topics = list(hub().followed())
        found = await tracker.versions(topics)
        before, self._versions = self._versions, dict(zip(topics, found, strict=True))
        known = hub().followed()
        behind = [
            t for t in topics if before.get(t, 0) > known.get(t, before.get(t, 0))
        ]

        async def resync(topic: str) -> None:
            hub().resync(topic, await tracker.list(topic), gap=False)

        metrics.RESYNCED.value += len(behind)
        await _in_parts(resync, behind)


async def _any_of(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


async def _in_parts(
    work: Callable[[str], Awaitable[T]], topics: Sequence[str]
) -> list[T]:
    """Do something for many topics, some at a time."""
    done: list[T] = []
    for at in range(0, len(topics), TOPICS_AT_ONCE):
        part = topics[at : at + TOPICS_AT_ONCE]
        done += await asyncio.gather(*map(work, part))
    return done


_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, Keeper] = WeakKeyDictionary()


def keeper() -> Keeper:
    """The running loop's keeper."""
    loop = asyncio.get_running_loop()
    if loop not in _keepers:
        _keepers[loop] = Keeper()
    return _keepers[loop]
