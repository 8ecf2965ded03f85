"""What both trackers promise: in memory and in Redis."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from presence import admission
from presence.factory import tracker
from presence.redis_tracker import RedisTracker
from presence.state import State, apply, by_ref
from presence.tracker import ALONE, NotTracked, Tracker
from rooms.messaging.hub import Hub


@pytest.fixture
def topic() -> str:
    return f"room:{secrets.token_hex(4)}"


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """Every test here runs with both trackers."""


pytestmark = pytest.mark.usefixtures("own")


async def test_a_topic_without_members_is_empty(topic: str) -> None:
    snapshot = await tracker().list(topic)

    assert snapshot.state == {}


async def test_tracking_gives_one_join_and_the_state_before(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {"n": 1})
    second = await tracker().track(topic, "b:1", {"n": 2})

    assert first.before.state == {}
    assert first.diff.joins == {"a:1": {"metas": [{"n": 1, "phx_ref": first.ref}]}}
    assert first.diff.leaves == {}
    assert second.before.state == first.diff.joins


async def test_a_key_lists_its_metas_oldest_first(topic: str) -> None:
    refs = [(await tracker().track(topic, "a:1", {"n": n})).ref for n in range(5)]

    metas = (await tracker().list(topic)).state["a:1"]["metas"]

    assert [meta["phx_ref"] for meta in metas] == refs


async def test_a_meta_cannot_forge_its_refs(topic: str) -> None:
    forged = {"phx_ref": "x", "phx_ref_prev": "y", "n": 1}

    tracked = await tracker().track(topic, "a:1", forged)

    [meta] = tracked.diff.joins["a:1"]["metas"]
    assert meta == {"n": 1, "phx_ref": tracked.ref}


async def test_an_update_is_one_diff_that_chains_the_refs(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {"n": 1})

    once = await tracker().update(topic, tracked.ref, {"n": 2})
    twice = await tracker().update(topic, once.ref, {"n": 3})

    assert once.diff.leaves == tracked.diff.joins
    assert twice.diff.leaves == once.diff.joins
    assert twice.diff.joins["a:1"]["metas"] == [
        {"n": 3, "phx_ref": twice.ref, "phx_ref_prev": once.ref}
    ]


async def test_an_update_of_a_removed_entry_raises(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {})
    await tracker().untrack(topic, [tracked.ref])

    with pytest.raises(NotTracked):
        await tracker().update(topic, tracked.ref, {})


async def test_untracking_returns_the_metas_as_leaves(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {"n": 1})
    second = await tracker().track(topic, "a:1", {"n": 2})

    diff = await tracker().untrack(topic, [first.ref])

    assert diff.leaves == first.diff.joins
    assert diff.joins == {}
    assert (await tracker().list(topic)).state == second.diff.joins


async def test_untracking_twice_changes_nothing(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {})
    await tracker().untrack(topic, [tracked.ref])

    assert not await tracker().untrack(topic, [tracked.ref])


async def test_versions_of_a_topic_ascend_with_its_changes(topic: str) -> None:
    one = await tracker().track(topic, "a:1", {})
    two = await tracker().update(topic, one.ref, {})
    before = await tracker().list(topic)
    three = await tracker().untrack(topic, [two.ref])
    again = await tracker().track(topic, "a:1", {})

    assert one.before.version < one.diff.version < two.diff.version
    assert before.version == two.diff.version
    assert two.diff.version < three.version <= again.before.version


async def test_topics_do_not_see_each_other(topic: str) -> None:
    await tracker().track(topic, "a:1", {})

    assert (await tracker().list(topic + "x")).state == {}


async def test_diffs_of_concurrent_changes_add_up_to_the_state(topic: str) -> None:
    shared: Tracker = tracker()
    tracked = await asyncio.gather(
        *(shared.track(topic, f"u{n % 7}:{n % 3}", {"n": n}) for n in range(40))
    )
    gone = await asyncio.gather(
        *(shared.untrack(topic, [one.ref]) for one in tracked[::3])
    )

    changes = sorted(
        [one.diff for one in tracked] + gone, key=lambda change: change.version
    )
    state: State = {}
    for change in changes:
        state = apply(state, change)

    assert by_ref(state) == by_ref((await shared.list(topic)).state)
    assert len({change.version for change in changes}) == len(changes)


async def test_text_of_any_script_and_json_of_any_shape_survive(topic: str) -> None:
    meta = {"ü": ["日本", None, 1.5, {"x": True}], "quote\"'": "\u0000\\"}

    tracked = await tracker().track(topic + "/é 'x'", "ключ:1", meta)

    [stored] = (await tracker().list(topic + "/é 'x'")).state["ключ:1"]["metas"]
    assert stored == meta | {"phx_ref": tracked.ref}


async def test_an_entry_in_its_grace_period_is_taken_over(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {"n": 1})
    await tracker().leave(topic, first.ref)

    again = await tracker().track(topic, "a:1", {"n": 2})

    assert again.ref == first.ref
    assert not again.diff
    assert again.before.state == first.diff.joins
    assert not await tracker().expire(topic, first.ref)
    assert (await tracker().list(topic)).state == first.diff.joins


async def test_an_entry_is_removed_at_the_end_of_its_grace_period(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {})
    await tracker().leave(topic, first.ref)

    gone = await tracker().expire(topic, first.ref)

    assert gone.leaves == first.diff.joins
    assert (await tracker().list(topic)).state == {}
    assert not await tracker().expire(topic, first.ref)


async def test_only_an_entry_of_the_same_key_is_taken_over(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {})
    await tracker().leave(topic, first.ref)

    other = await tracker().track(topic, "a:2", {})

    assert list(other.diff.joins) == ["a:2"]


async def test_an_entry_that_was_taken_over_can_be_updated_and_leave_again(
    topic: str,
) -> None:
    first = await tracker().track(topic, "a:1", {"n": 1})
    await tracker().leave(topic, first.ref)
    again = await tracker().track(topic, "a:1", {"n": 1})

    updated = await tracker().update(topic, again.ref, {"n": 2})
    await tracker().leave(topic, updated.ref)

    assert (await tracker().expire(topic, updated.ref)).leaves == updated.diff.joins


@pytest.mark.parametrize(
    ("ban", "stay"),
    [
        (admission.EVERYONE, ["b:1"]),
        (admission.group("a"), ["b:1", "b:2"]),
        (admission.key("a:2"), ["a:1", "b:1", "b:2"]),
        (admission.key("c:1"), ["a:1", "a:2", "b:1", "b:2"]),
    ],
)
async def test_only_entries_in_their_grace_period_are_removed(
    topic: str, ban: admission.Ban, stay: list[str]
) -> None:
    for key in ("a:1", "a:2", "b:1", "b:2"):
        tracked = await tracker().track(topic, key, {}, key[0])
        if key != "b:1":
            await tracker().leave(topic, tracked.ref)

    gone = await tracker().end_grace(topic, ban)

    state = (await tracker().list(topic)).state
    assert sorted(state) == stay
    assert {*gone.leaves, *stay} == {"a:1", "a:2", "b:1", "b:2"}
    [size] = await tracker().sizes([topic])
    assert size.entries == len(stay)


async def test_a_topic_is_counted_by_entries_and_groups(topic: str) -> None:
    one = await tracker().track(topic, "a:1", {}, "a")
    await tracker().track(topic, "a:2", {}, "a")
    await tracker().track(topic, "b:1", {}, "b")
    both = await tracker().sizes([topic, topic + "x"])
    await tracker().untrack(topic, [one.ref, one.ref])

    assert [tuple(size) for size in both] == [(3, 2), (0, 0)]
    assert [tuple(size) for size in await tracker().sizes([topic])] == [(2, 2)]


async def test_a_member_that_leaves_during_its_update_is_removed(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {})
    updating = asyncio.create_task(tracker().update(topic, tracked.ref, {"n": 1}))
    await asyncio.sleep(0)

    updating.cancel()
    gone = await tracker().untrack(topic, [tracked.ref])

    await asyncio.gather(updating, return_exceptions=True)
    refs = [tracked.ref]
    if not updating.cancelled():
        refs = [updating.result().ref]
        gone = await tracker().untrack(topic, refs)
    assert len(by_ref(gone.leaves)) == 1
    assert await tracker().sizes([topic]) == [(0, 0)]
    if isinstance(found := tracker(), RedisTracker):
        assert topic not in found.topics()


async def test_the_owner_of_an_entry_is_known(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {}, "a")
    found = tracker()
    process = found.process() if isinstance(found, RedisTracker) else ALONE

    assert await found.owners(topic) == {tracked.ref: process}
    assert await found.owners(f"{topic}x") == {}
