"""Leases: which processes live, which are dead, and which one reaps them."""

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
    """Every test here needs Redis."""


pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
    pytest.mark.usefixtures("own"),
]


class Cluster:
    """Three processes, and one clock for all."""

    def __init__(self) -> None:
        self.now = 0.0
        self._prefix = f"test{secrets.token_hex(4)}"
        self.all = [self.start() for _ in range(3)]

    def start(self) -> Leases:
        """One more process."""
        return Leases(redis.batch(), self._prefix, SECONDS, RENEW, lambda: self.now)

    async def pass_time(self, seconds: float, *live: Leases) -> list[list[str]]:
        """Let time pass while these processes renew. Returns what each must reap."""
        found: list[dict[str, None]] = [{} for _ in live]
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + RENEW)
            for one, reaped in zip(live, found, strict=True):
                reaped |= dict.fromkeys(to_reap(await one.renew({})))
        return [[*reaped] for reaped in found]


def to_reap(renewal: Renewal) -> list[str]:
    """The ids of the processes to reap."""
    return sorted(process for process in renewal.to_reap if process != UNREGISTERED)


async def test_a_lease_is_known_from_its_second_renewal_on() -> None:
    one, two, _ = Cluster().all

    assert await one.renew({"n": 1}) == (False, [])
    assert await one.renew({"n": 2}) == (True, [])
    assert await two.renew({"n": 3}) == (False, [])
    reported = await one.processes()
    assert reported == sorted(
        [{"id": one.process, "n": 2}, {"id": two.process, "n": 3}],
        key=lambda process: str(process["id"]),
    )


async def test_one_process_reaps_a_process_that_was_silent_for_its_lease() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({})

    assert await cluster.pass_time(SECONDS - 1, two, three) == [[], []]
    found = await cluster.pass_time(RENEW, two, three)

    assert sorted(found) == [[], [one.process]]
    assert [known["id"] for known in await two.processes()] == sorted(
        [two.process, three.process]
    )
    reaper = two if found[0] else three
    await reaper.remove_claim(one.process)
    assert await cluster.pass_time(2 * SECONDS, two, three) == [[], []]


async def test_a_process_that_only_renews_its_lease_stays_alive() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({"n": 1})

    for _ in range(10):
        found = await cluster.pass_time(RENEW, two, three)
        await one.renew_if_due()
        one.check()
        assert found == [[], []]
    assert {"id": one.process, "n": 1} in await two.processes()
    assert await one.renew({}) == (True, [])


async def test_an_expired_lease_cannot_be_renewed_if_due() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.renew_if_due()
    assert await two.processes() == []
    for process in cluster.all:
        await process.renew({})
    found = await cluster.pass_time(SECONDS + RENEW, two, three)
    assert [one.process] in found

    await one.renew_if_due()

    assert one.process not in {known["id"] for known in await two.processes()}
    with pytest.raises(redis.NotSent):
        one.check()
    assert not (await one.renew({})).known


async def test_a_process_is_to_be_reaped_until_its_claim_is_removed() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})

    assert await cluster.pass_time(SECONDS + RENEW, two) == [[one.process]]

    assert to_reap(await two.renew({})) == [one.process]


async def test_if_a_reaper_dies_another_process_reaps() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.pass_time(SECONDS + RENEW, two) == [[one.process]]

    # It has just started: it observes first.
    found = await cluster.pass_time(SECONDS + 2 * RENEW, three)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_a_process_that_starts_observes_before_it_reaps() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    # Both die at once, and one process starts long after.
    cluster.now += 10 * SECONDS
    new = cluster.start()

    assert to_reap(await new.renew({})) == []
    assert await cluster.pass_time(SECONDS - 1, new) == [[]]
    found = await cluster.pass_time(RENEW, new)

    assert sorted(found[0]) == sorted([one.process, two.process])


async def test_time_in_which_no_process_could_renew_does_not_count() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    for process in cluster.all:
        await process.renew({})
    await cluster.pass_time(RENEW, one, two, three)

    # Redis refuses all calls for minutes, or all processes are stopped.
    cluster.now += 20 * SECONDS

    # The last one renews again within its lease.
    assert await cluster.pass_time(SECONDS - RENEW, two, three) == [[], []]
    assert (await one.renew({})).known
    assert await cluster.pass_time(SECONDS, one, two, three) == [[], [], []]


async def test_time_before_a_failed_renewal_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    for _ in range(10):
        cluster.now += RENEW
        redis.link().up = False
        with pytest.raises(redis.Unavailable):
            await two.renew({})
        redis.link().up = True
        assert to_reap(await two.renew({})) == []


async def test_a_renewal_just_before_a_claim_prevents_it() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    await cluster.pass_time(SECONDS - 1, two)
    cluster.now += 2

    # The other process has observed already, and is about to claim.
    async def renew_first(*args: Any) -> Any:
        await one.renew({})
        return await claim(*args)

    claim = two._claim
    two._claim = renew_first  # type: ignore[assignment]

    assert to_reap(await two.renew({})) == []
    assert (await one.renew({})).known


async def test_a_process_that_was_reaped_continues_under_a_new_id() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.pass_time(SECONDS + RENEW, two) == [[one.process]]

    assert not (await one.renew({})).known
    former = one.change_id()

    assert former != one.process
    assert (await one.renew({})).known is False
    assert (await one.renew({})).known is True


async def test_a_late_renewal_does_not_revive_a_dead_process() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})
    assert await cluster.pass_time(SECONDS + RENEW, two) == [[one.process]]

    # A renewal that was sent long ago.
    await one.renew({})

    assert not (await one.renew({})).known
    await two.remove_claim(one.process)
    assert not (await one.renew({})).known
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_whose_lease_may_have_expired_fails_the_check() -> None:
    cluster = Cluster()
    one, _, _ = cluster.all
    one.check()
    await one.renew({})
    cluster.now += SECONDS - 1
    one.check()

    cluster.now += 1

    with pytest.raises(redis.NotSent):
        one.check()
    await one.renew({})
    one.check()


async def test_a_process_that_releases_its_lease_is_removed_at_once() -> None:
    one, two, _ = Cluster().all
    await one.renew({})

    await one.release()

    assert await two.renew({}) == (False, [])
    assert [known["id"] for known in await two.processes()] == [two.process]


async def test_a_process_that_leaves_grace_periods_is_reaped_after_them() -> None:
    cluster = Cluster()
    one, two, _ = cluster.all
    await one.renew({})
    await two.renew({})

    await one.release(60.0)

    assert [known["id"] for known in await two.processes()] == [two.process]
    assert await cluster.pass_time(60.0, two) == [[]]
    assert await cluster.pass_time(RENEW, two) == [[one.process]]


async def test_one_process_reaps_unregistered_processes_after_a_lease() -> None:
    cluster = Cluster()
    one, two, three = cluster.all
    swept: list[Leases] = []
    for _ in range(5):
        renewals = [(process, await process.renew({})) for process in cluster.all]
        swept += [
            process for process, renewal in renewals if UNREGISTERED in renewal.to_reap
        ]
        cluster.now += RENEW
        assert not swept or cluster.now > SECONDS

    assert set(swept) == {one}
    await one.remove_claim(UNREGISTERED)
    await cluster.pass_time(2 * SECONDS, one, two, three)
    assert UNREGISTERED not in (await three.live_and_dead())[1]
