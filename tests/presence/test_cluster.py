"""What a process does for presence in Redis, in rare situations."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from beam import redis
from presence.admission import Limits, NotAdmitted
from presence.cluster import Cluster
from presence.leases import Leases
from presence.redis_tracker import RedisTracker
from presence.state import Diff
from rooms.messaging.hub import Hub

LEASE = 10.0
RENEW = 3.0


pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


class Process:
    """One of several processes, with a clock that the test sets."""

    def __init__(self, prefix: str) -> None:
        self._now = 0.0
        self.leases = Leases(redis.batch(), prefix, LEASE, RENEW, lambda: self._now)
        self.tracker = RedisTracker(
            redis.batch(), prefix, lambda: self.leases.process, self.leases.check
        )
        self.published: list[tuple[str, Diff]] = []
        self._cluster = Cluster(self.tracker, self.leases, self._publish)

    def _publish(self, topic: str, change: Diff) -> None:
        if change:
            self.published.append((topic, change))

    async def renew(self, seconds: float) -> None:
        """Renew as `rooms.runtime` does, so many seconds after the start."""
        self._now = seconds
        await self._cluster.renew({})

    async def renew_until(self, seconds: float) -> None:
        """Renew in time, until so many seconds after the start."""
        while self._now < seconds:
            await self.renew(min(seconds, self._now + RENEW))


@pytest.fixture
async def pair(backend: str, running_hub: Hub) -> tuple[str, Process, Process]:
    """A prefix of its own in Redis, and two processes that know each other."""
    assert backend == "redis"
    prefix = f"test{secrets.token_hex(4)}"
    one, two = Process(prefix), Process(prefix)
    await one.renew(0)
    await two.renew(0)
    return prefix, one, two


async def lose_all_data(prefix: str) -> None:
    """Redis loses its data."""
    async for key in redis.client().scan_iter(f"{prefix}:*"):
        await redis.client().delete(key)


async def test_a_process_that_dies_before_redis_knows_it_again_is_reaped(
    pair: tuple[str, Process, Process],
) -> None:
    prefix, one, two = pair
    await one.tracker.track("room:shared", "ada:1", {}, "ada")
    await two.tracker.track("room:shared", "bob:1", {}, "bob")
    await two.tracker.track("room:alone", "bob:1", {}, "bob")
    await lose_all_data(prefix)
    # The process joins members before its next renewal, and then dies.
    await two.tracker.track("room:shared", "cat:1", {}, "cat")
    await two.tracker.track("room:alone", "cat:1", {}, "cat")

    await one.renew_until(2 * LEASE)

    assert list((await one.tracker.list("room:shared")).state) == ["ada:1"]
    assert (await one.tracker.list("room:alone")).state == {}
    assert await one.tracker.sizes(["room:shared", "room:alone"]) == [(1, 1), (0, 0)]
    left = [key for topic, diff in one.published for key in diff.leaves]
    assert left == ["cat:1"]


async def test_a_process_that_renews_in_time_after_a_loss_is_not_reaped(
    pair: tuple[str, Process, Process],
) -> None:
    prefix, one, two = pair
    await one.tracker.track("room:shared", "ada:1", {}, "ada")
    await two.tracker.track("room:shared", "bob:1", {}, "bob")
    await lose_all_data(prefix)

    for seconds in range(1, int(2 * LEASE), 2):
        await one.renew(seconds)
        await two.renew(seconds)

    state = (await one.tracker.list("room:shared")).state
    assert sorted(state) == ["ada:1", "bob:1"]
    assert [
        diff.leaves for _, diff in one.published + two.published if diff.leaves
    ] == []


async def test_a_member_that_joins_while_a_script_is_loaded_is_not_removed(
    pair: tuple[str, Process, Process],
) -> None:
    _, one, _ = pair
    await redis.client().script_flush()
    await one.tracker.track("room:shared", "ada:1", {}, "ada")

    # Redis has the script of `track` now, and not yet that of `reconcile`.
    change, _ = await asyncio.gather(
        one.tracker.reconcile("room:shared", one.leases.process),
        one.tracker.track("room:shared", "bob:1", {}, "bob"),
    )

    assert not change
    state = (await one.tracker.list("room:shared")).state
    assert sorted(state) == ["ada:1", "bob:1"]


async def unload_track_script(process: Process) -> None:
    """Leave Redis with the script of `reconcile` only."""
    await redis.client().script_flush()
    await process.tracker.reconcile("room:shared", process.leases.process)


async def test_a_member_that_reconcile_adds_during_its_join_is_not_in_the_state_before(
    pair: tuple[str, Process, Process],
) -> None:
    _, one, _ = pair
    await one.tracker.track("room:shared", "ada:1", {}, "ada")
    await unload_track_script(one)

    tracked, change = await asyncio.gather(
        one.tracker.track("room:shared", "bob:1", {}, "bob", Limits(2, 1, 0)),
        one.tracker.reconcile("room:shared", one.leases.process),
    )

    assert list(change.joins) == ["bob:1"]
    assert list(tracked.before.state) == ["ada:1"]
    assert tracked.diff.version > change.version
    assert await one.tracker.sizes(["room:shared"]) == [(2, 2)]
    assert one.tracker.uncertain_topics() == []


async def test_a_member_that_reconcile_adds_and_track_refuses_is_removed(
    pair: tuple[str, Process, Process],
) -> None:
    _, one, _ = pair
    await one.tracker.track("room:shared", "ada:1", {}, "ada")
    await unload_track_script(one)

    refused, change = await asyncio.gather(
        one.tracker.track("room:shared", "bob:1", {}, "bob", Limits(1, 0, 0)),
        one.tracker.reconcile("room:shared", one.leases.process),
        return_exceptions=True,
    )
    await one.renew(1)

    assert isinstance(refused, NotAdmitted)
    assert isinstance(change, Diff)
    assert list(change.joins) == ["bob:1"]
    assert [list(diff.leaves) for _, diff in one.published] == [["bob:1"]]
    assert list((await one.tracker.list("room:shared")).state) == ["ada:1"]


async def test_a_member_that_reconcile_adds_and_that_takes_over_is_there_once(
    pair: tuple[str, Process, Process],
) -> None:
    _, one, _ = pair
    first = await one.tracker.track("room:shared", "ada:1", {}, "ada")
    await one.tracker.leave("room:shared", first.ref)
    await unload_track_script(one)

    again, _ = await asyncio.gather(
        one.tracker.track("room:shared", "ada:1", {}, "ada"),
        one.tracker.reconcile("room:shared", one.leases.process),
    )
    await one.renew(1)

    assert again.ref == first.ref
    state = (await one.tracker.list("room:shared")).state
    assert [meta["phx_ref"] for meta in state["ada:1"]["metas"]] == [first.ref]
    assert await one.tracker.sizes(["room:shared"]) == [(1, 1)]
