"""What a tracker promises that processes share: owners, reaping, reconciling."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from beam import redis
from presence.admission import Limits, NotAdmitted
from presence.factory import shared
from presence.redis_tracker import RedisTracker
from rooms.messaging.hub import Hub

SMALL = Limits(size=3_000)


@pytest.fixture
def topic() -> str:
    return f"room:{secrets.token_hex(4)}"


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """Every test here needs Redis."""


pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
    pytest.mark.usefixtures("own"),
]


def meta_of(size: int) -> dict[str, Any]:
    """A meta of about so many bytes."""
    return {"text": "x" * size}


def another_process() -> RedisTracker:
    """The tracker of another process."""
    name = secrets.token_hex(4)
    return RedisTracker(redis.batch(), "beam", lambda: name)


async def test_entries_of_a_dead_process_are_reaped_once(topic: str) -> None:
    mine, _ = shared()
    dead = another_process()
    held = await dead.track(topic, "a:1", {}, "a")
    kept = await mine.track(topic, "b:1", {}, "b")
    process = dead.process()

    assert list(await mine.index.topics_of(process)) == [topic]
    gone = await mine.reap(topic, process)

    assert gone.leaves == held.diff.joins
    assert not await mine.reap(topic, process)
    assert (await mine.list(topic)).state == kept.diff.joins
    assert [tuple(size) for size in await mine.sizes([topic])] == [(1, 1)]


async def test_reconciling_adds_entries_that_redis_lost(topic: str) -> None:
    mine, _ = shared()
    held = await mine.track(topic, "a:1", {"n": 1}, "a")
    await another_process().reap(topic, mine.process())

    back = await mine.reconcile(topic, mine.process())

    assert back.joins == held.diff.joins
    assert back.leaves == {}
    assert (await mine.list(topic)).state == held.diff.joins
    assert not await mine.reconcile(topic, mine.process())


async def test_reconciling_removes_entries_that_are_not_held(topic: str) -> None:
    name = secrets.token_hex(4)
    forgetful = RedisTracker(redis.batch(), "beam", lambda: name)
    held = await forgetful.track(topic, "a:1", {}, "a")

    again = RedisTracker(redis.batch(), "beam", lambda: name)
    gone = await again.reconcile(topic, name)

    assert gone.leaves == held.diff.joins
    assert (await again.list(topic)).state == {}


async def test_reconciling_keeps_entries_of_others_and_in_grace_periods(
    topic: str,
) -> None:
    mine, _ = shared()
    leaving = await mine.track(topic, "a:1", {})
    await mine.leave(topic, leaving.ref)
    await another_process().track(topic, "b:1", {})
    before = await mine.list(topic)

    assert not await mine.reconcile(topic, mine.process())
    assert await mine.list(topic) == before


async def test_a_process_with_a_new_id_becomes_the_owner_of_its_entries(
    topic: str,
) -> None:
    names = ["old"]
    mover = RedisTracker(redis.batch(), "beam", lambda: names[-1])
    held = await mover.track(topic, "a:1", {})
    names.append("new")

    assert not await mover.reconcile(topic, "old")
    assert not await mover.reap(topic, "old")
    assert (await mover.reap(topic, "new")).leaves == held.diff.joins


async def test_a_process_that_takes_over_an_entry_becomes_its_owner(topic: str) -> None:
    mine, _ = shared()
    other = another_process()
    first = await mine.track(topic, "a:1", {})
    await mine.leave(topic, first.ref)

    await other.track(topic, "a:1", {})

    assert not await mine.reap(topic, mine.process())
    assert not await mine.reconcile(topic, mine.process())
    assert (await mine.reap(topic, other.process())).leaves == first.diff.joins


async def test_a_count_of_bytes_that_redis_lost_is_restored(topic: str) -> None:
    mine, _ = shared()
    weight = mine.keys(topic).weight
    for key in ("a:1", "b:1"):
        await mine.track(topic, key, meta_of(1_000), key[0])
    kept = await redis.client().get(weight)
    await redis.client().delete(weight)

    with pytest.raises(NotAdmitted):
        await mine.track(topic, "c:1", meta_of(1_000), "c", SMALL)
    third = await mine.track(topic, "c:1", meta_of(10), "c", SMALL)
    await mine.untrack(topic, [third.ref])

    assert await redis.client().get(weight) == kept
    await mine.reap(topic, mine.process())
    assert await redis.client().get(weight) is None


async def test_only_a_version_that_expires_stays_of_an_empty_topic(topic: str) -> None:
    mine, _ = shared()
    tracked = await mine.track(topic, "a:1", {}, "a")
    await mine.untrack(topic, [tracked.ref])
    await mine.list(topic + "x")
    await redis.batch().call("PING")

    keys = [*mine.keys(topic), *mine.keys(topic + "x")]
    assert len(keys) == 12
    left = [key for key in keys if await redis.client().exists(key)]
    assert left == [mine.keys(topic).version, mine.keys(topic + "x").version]
    ends = [await redis.client().ttl(key) for key in left]
    assert all(0 < seconds <= 3_600 for seconds in ends)
    assert topic not in await mine.index.topics_of(mine.process())
