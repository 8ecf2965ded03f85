"""Leases: who lives, who is dead, and who reaps."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from beam import redis
from presence.leases import FORGOTTEN, Beat, Leases
from rooms.messaging.hub import Hub

SECONDS = 10.0
RENEW = 3.0


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
        self.now = 0.0
        self._prefix = f"test{secrets.token_hex(4)}"
        self.all = [self.start() for _ in range(3)]

    def start(self) -> Leases:
        """One more process."""
        return Leases(redis.batch(), self._prefix, SECONDS, RENEW, lambda: self.now)

    async def go_on(self, seconds: float, *alive: Leases) -> list[list[str]]:
        """Let time pass, while some renew as they should: what each is to reap."""
        found: list[dict[str, None]] = [{} for _ in alive]
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + RENEW)
            for one, reaped in zip(alive, found, strict=True):
                reaped |= dict.fromkeys(dead(await one.beat({})))
        return [[*reaped] for reaped in found]


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


async def test_a_process_that_was_silent_for_its_lease_is_one_others_to_reap() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.beat({})

    assert await cluster.go_on(SECONDS - 1, two, three) == [[], []]
    found = await cluster.go_on(RENEW, two, three)

    assert sorted(found) == [[], [one.process]]
    assert [known["id"] for known in await two.processes()] == sorted(
        [two.process, three.process]
    )
    reaper = two if found[0] else three
    await reaper.bury(one.process)
    assert await cluster.go_on(2 * SECONDS, two, three) == [[], []]


async def test_a_process_that_only_keeps_its_lease_lives() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.beat({"n": 1})

    for _ in range(10):
        found = await cluster.go_on(RENEW, two, three)
        await one.keep()
        one.check()
        assert found == [[], []]
    assert {"id": one.process, "n": 1} in await two.processes()
    assert await one.beat({}) == (True, [])


async def test_a_lease_that_is_lost_cannot_be_kept() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.keep()
    assert await two.processes() == []
    for process in cluster.all:
        await process.beat({})
    found = await cluster.go_on(SECONDS + RENEW, two, three)
    assert [one.process] in found

    await one.keep()

    assert one.process not in {known["id"] for known in await two.processes()}
    with pytest.raises(redis.Away):
        one.check()
    assert not (await one.beat({})).known


async def test_a_reaper_is_given_what_it_has_not_buried_again() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})

    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    assert dead(await two.beat({})) == [one.process]


async def test_if_a_reaper_dies_another_goes_on() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.beat({})
    await two.beat({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    # It starts now: it observes first.
    found = await cluster.go_on(SECONDS + 2 * RENEW, three)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_a_process_that_starts_observes_before_it_reaps() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})
    # All die at once, and one starts long after.
    cluster.now += 10 * SECONDS
    new = cluster.start()

    assert dead(await new.beat({})) == []
    assert await cluster.go_on(SECONDS - 1, new) == [[]]
    found = await cluster.go_on(RENEW, new)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_time_in_which_nobody_could_renew_is_no_silence() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.beat({})
    await cluster.go_on(RENEW, one, two, three)

    # Redis refuses everybody for minutes, or all of them are stopped.
    cluster.now += 20 * SECONDS

    # The last to come back is there within its lease.
    assert await cluster.go_on(SECONDS - RENEW, two, three) == [[], []]
    assert (await one.beat({})).known
    assert await cluster.go_on(SECONDS, one, two, three) == [[], [], []]


async def test_time_before_a_failed_look_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})
    for _ in range(10):
        cluster.now += RENEW
        redis.link().up = False
        with pytest.raises(redis.RedisError):
            await two.beat({})
        redis.link().up = True
        assert dead(await two.beat({})) == []


async def test_a_renewal_in_the_last_moment_prevents_a_claim() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})
    await cluster.go_on(SECONDS - 1, two)
    cluster.now += 2

    # It has looked already, and is about to claim.
    async def renew_first(*args: Any) -> Any:
        await one.beat({})
        return await claim(*args)

    claim = two._claim
    two._claim = renew_first  # type: ignore[assignment]

    assert dead(await two.beat({})) == []
    assert (await one.beat({})).known


async def test_a_process_that_was_reaped_goes_on_under_a_new_id() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    assert not (await one.beat({})).known
    former = one.renew_id()

    assert former != one.process
    assert (await one.beat({})).known is False
    assert (await one.beat({})).known is True


async def test_a_late_renewal_does_not_bring_the_dead_back() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    # Sent long ago; its answer never arrives.
    await one.beat({})

    assert not (await one.beat({})).known
    await two.bury(one.process)
    assert not (await one.beat({})).known
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_that_others_may_hold_for_dead_adds_nothing() -> None:
    cluster = Cluster()
    one, _, _ = cluster.all
    one.check()
    await one.beat({})
    cluster.now += SECONDS - 1
    one.check()

    cluster.now += 1

    with pytest.raises(redis.Away):
        one.check()
    await one.beat({})
    one.check()


async def test_a_process_that_goes_in_order_is_forgotten_at_once() -> None:
    one, two, _ = Cluster().all
    await one.beat({})

    await one.end()

    assert await two.beat({}) == (False, [])
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_that_goes_with_members_in_grace_is_reaped_after_it() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.beat({})
    await two.beat({})

    await one.end(60.0)

    assert [known["id"] for known in await two.processes()] == [two.process]
    assert await cluster.go_on(60.0, two) == [[]]
    assert await cluster.go_on(RENEW, two) == [[one.process]]


async def test_a_redis_without_leases_is_looked_through_a_lease_later_by_one() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    swept: list[Leases] = []
    for _ in range(5):
        beats = [(process, await process.beat({})) for process in cluster.all]
        swept += [process for process, beat in beats if FORGOTTEN in beat.dead]
        cluster.now += RENEW
        assert not swept or cluster.now > SECONDS

    assert set(swept) == {one}
    await one.bury(FORGOTTEN)
    await cluster.go_on(2 * SECONDS, one, two, three)
    assert FORGOTTEN not in (await three.known())[1]
