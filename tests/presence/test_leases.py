"""Leases: who lives, who is dead, and who reaps."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from beam import redis
from presence.leases import UNREGISTERED, Leases, Renewal
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
                reaped |= dict.fromkeys(to_reap(await one.renew({})))
        return [[*reaped] for reaped in found]


def to_reap(renewal: Renewal) -> list[str]:
    """The processes that are to be reaped."""
    return sorted(process for process in renewal.to_reap if process != UNREGISTERED)


async def test_a_lease_is_known_from_its_second_beat_on() -> None:
    one, two, _ = Cluster().all

    assert await one.renew({"n": 1}) == (False, [])
    assert await one.renew({"n": 2}) == (True, [])
    assert await two.renew({"n": 3}) == (False, [])
    told = await one.processes()
    assert told == sorted(
        [{"id": one.process, "n": 2}, {"id": two.process, "n": 3}],
        key=lambda process: str(process["id"]),
    )


async def test_a_process_that_was_silent_for_its_lease_is_one_others_to_reap() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({})

    assert await cluster.go_on(SECONDS - 1, two, three) == [[], []]
    found = await cluster.go_on(RENEW, two, three)

    assert sorted(found) == [[], [one.process]]
    assert [known["id"] for known in await two.processes()] == sorted(
        [two.process, three.process]
    )
    reaper = two if found[0] else three
    await reaper.remove_claim(one.process)
    assert await cluster.go_on(2 * SECONDS, two, three) == [[], []]


async def test_a_process_that_only_keeps_its_lease_lives() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({"n": 1})

    for _ in range(10):
        found = await cluster.go_on(RENEW, two, three)
        await one.renew_if_due()
        one.check()
        assert found == [[], []]
    assert {"id": one.process, "n": 1} in await two.processes()
    assert await one.renew({}) == (True, [])


async def test_a_lease_that_is_lost_cannot_be_kept() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.renew_if_due()
    assert await two.processes() == []
    for process in cluster.all:
        await process.renew({})
    found = await cluster.go_on(SECONDS + RENEW, two, three)
    assert [one.process] in found

    await one.renew_if_due()

    assert one.process not in {known["id"] for known in await two.processes()}
    with pytest.raises(redis.Away):
        one.check()
    assert not (await one.renew({})).known


async def test_a_reaper_is_given_what_it_has_not_buried_again() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})

    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    assert to_reap(await two.renew({})) == [one.process]


async def test_if_a_reaper_dies_another_goes_on() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    # It starts now: it observes first.
    found = await cluster.go_on(SECONDS + 2 * RENEW, three)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_a_process_that_starts_observes_before_it_reaps() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    # All die at once, and one starts long after.
    cluster.now += 10 * SECONDS
    new = cluster.start()

    assert to_reap(await new.renew({})) == []
    assert await cluster.go_on(SECONDS - 1, new) == [[]]
    found = await cluster.go_on(RENEW, new)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_time_in_which_nobody_could_renew_is_no_silence() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({})
    await cluster.go_on(RENEW, one, two, three)

    # Redis refuses everybody for minutes, or all of them are stopped.
    cluster.now += 20 * SECONDS

    # The last to come back is there within its lease.
    assert await cluster.go_on(SECONDS - RENEW, two, three) == [[], []]
    assert (await one.renew({})).known
    assert await cluster.go_on(SECONDS, one, two, three) == [[], [], []]


async def test_time_before_a_failed_look_is_no_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    for _ in range(10):
        cluster.now += RENEW
        redis.link().up = False
        with pytest.raises(redis.RedisError):
            await two.renew({})
        redis.link().up = True
        assert to_reap(await two.renew({})) == []


async def test_a_renewal_in_the_last_moment_prevents_a_claim() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    await cluster.go_on(SECONDS - 1, two)
    cluster.now += 2

    # It has looked already, and is about to claim.
    async def renew_first(*args: Any) -> Any:
        await one.renew({})
        return await claim(*args)

    claim = two._claim
    two._claim = renew_first  # type: ignore[assignment]

    assert to_reap(await two.renew({})) == []
    assert (await one.renew({})).known


async def test_a_process_that_was_reaped_goes_on_under_a_new_id() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    assert not (await one.renew({})).known
    former = one.change_id()

    assert former != one.process
    assert (await one.renew({})).known is False
    assert (await one.renew({})).known is True


async def test_a_late_renewal_does_not_bring_the_dead_back() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.go_on(SECONDS + RENEW, two) == [[one.process]]

    # Sent long ago; its answer never arrives.
    await one.renew({})

    assert not (await one.renew({})).known
    await two.remove_claim(one.process)
    assert not (await one.renew({})).known
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_that_others_may_hold_for_dead_adds_nothing() -> None:
    cluster = Cluster()
    one, _, _ = cluster.all
    one.check()
    await one.renew({})
    cluster.now += SECONDS - 1
    one.check()

    cluster.now += 1

    with pytest.raises(redis.Away):
        one.check()
    await one.renew({})
    one.check()


async def test_a_process_that_goes_in_order_is_forgotten_at_once() -> None:
    one, two, _ = Cluster().all
    await one.renew({})

    await one.release()

    assert await two.renew({}) == (False, [])
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_that_goes_with_members_in_grace_is_reaped_after_it() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})

    await one.release(60.0)

    assert [known["id"] for known in await two.processes()] == [two.process]
    assert await cluster.go_on(60.0, two) == [[]]
    assert await cluster.go_on(RENEW, two) == [[one.process]]


async def test_a_redis_without_leases_is_looked_through_a_lease_later_by_one() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    swept: list[Leases] = []
    for _ in range(5):
        beats = [(process, await process.renew({})) for process in cluster.all]
        swept += [
            process for process, renewal in beats if UNREGISTERED in renewal.to_reap
        ]
        cluster.now += RENEW
        assert not swept or cluster.now > SECONDS

    assert set(swept) == {one}
    await one.remove_claim(UNREGISTERED)
    await cluster.go_on(2 * SECONDS, one, two, three)
    assert UNREGISTERED not in (await three.live_and_dead())[1]
