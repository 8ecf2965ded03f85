"""Leases: who lives, who is dead, and who reaps."""

from __future__ import annotations

import secrets

import pytest

from beam import redis
from presence.leases import FORGOTTEN, Beat, Leases
from rooms.hub import Hub

SECONDS = 10.0
START = 1_000_000_000


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """With a Redis."""


pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
    pytest.mark.usefixtures("own"),
]


class Cluster:
    """Some processes, and one clock for all."""

    def __init__(self) -> None:
        prefix = f"test{secrets.token_hex(4)}"
        self.now = START
        self.all = [Leases(redis.batch(), prefix, SECONDS) for _ in range(3)]
        self.pass_seconds(0)

    def pass_seconds(self, seconds: float) -> None:
        """Time goes by for everybody."""
        self.now += int(seconds * 1_000)
        for one in self.all:
            one.clock = self.now


def dead(beat: Beat) -> list[str]:
    """The processes that are to be reaped."""
    return sorted(process for process in beat.dead if process != FORGOTTEN)


async def test_a_lease_is_known_from_its_second_beat_on() -> None:
    one, two, _ = Cluster().all

    assert await one.beat({"n": 1}) == (False, [])
    assert await one.beat({"n": 2}) == (True, [])
    assert await two.beat({"n": 3}) == (False, [])
    told = await one.processes()
    assert told == sorted(
        [{"id": one.process, "n": 2}, {"id": two.process, "n": 3}],
        key=lambda process: str(process["id"]),
    )


async def test_a_lease_that_ran_out_is_one_others_to_reap() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.beat({})

    cluster.pass_seconds(SECONDS - 1)
    assert dead(await two.beat({})) == []
    assert dead(await three.beat({})) == []
    cluster.pass_seconds(2)

    assert dead(await two.beat({})) == [one.process]
    assert dead(await three.beat({})) == []
    assert [known["id"] for known in await two.processes()] == sorted(
        [two.process, three.process]
    )
    await two.bury(one.process)
    cluster.pass_seconds(SECONDS - 1)
    assert dead(await two.beat({})) == []
    assert dead(await three.beat({})) == []


async def test_where_a_reaper_dies_another_goes_on() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.beat({})
    cluster.pass_seconds(SECONDS - 1)
    await two.beat({})
    await three.beat({})
    cluster.pass_seconds(2)
    assert dead(await two.beat({})) == [one.process]

    cluster.pass_seconds(SECONDS - 1)
    await three.beat({})
    cluster.pass_seconds(2)

    assert dead(await three.beat({})) == sorted([one.process, two.process])


async def test_who_was_reaped_is_not_known_and_goes_on_under_a_new_id() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    cluster.pass_seconds(SECONDS + 1)
    assert dead(await two.beat({})) == [one.process]

    assert not (await one.beat({})).known
    former = one.renew_id()

    assert former != one.process
    assert (await one.beat({})) == (False, [])
    assert (await one.beat({})) == (True, [])


async def test_a_late_beat_does_not_bring_the_dead_back() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    cluster.pass_seconds(SECONDS + 1)
    assert dead(await two.beat({})) == [one.process]

    # Sent long ago; its answer never arrives.
    await one.beat({})

    assert not (await one.beat({})).known
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_who_goes_in_order_is_forgotten_at_once() -> None:
    one, two, _ = Cluster().all
    await one.beat({})

    await one.end()

    assert await two.beat({}) == (False, [])
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_who_goes_with_members_in_grace_is_reaped_when_it_is_over() -> None:
    one, two, _ = Cluster().all
    one.clock = two.clock = 0
    await one.beat({})

    await one.end(60.0)
    assert dead(await two.beat({})) == []
    seconds, _ = await redis.batch().call("TIME")
    two.clock = (int(seconds) + 61) * 1_000

    assert dead(await two.beat({})) == [one.process]


async def test_a_redis_without_leases_is_looked_through_a_lease_later_by_one() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        assert (await process.beat({})).dead == []
    cluster.pass_seconds(SECONDS - 1)
    for process in cluster.all:
        assert (await process.beat({})).dead == []

    cluster.pass_seconds(2)

    assert await one.beat({}) == (True, [FORGOTTEN])
    assert await two.beat({}) == (True, [])
    await one.bury(FORGOTTEN)
    cluster.pass_seconds(SECONDS + 1)
    assert FORGOTTEN not in (await three.beat({})).dead
    assert FORGOTTEN not in (await three.known())[1]
