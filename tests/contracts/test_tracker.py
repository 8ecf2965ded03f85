"""What both trackers promise, in process and in Redis."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from presence.state import State, apply, by_ref
from presence.tracker import NotTracked, Tracker, tracker
from rooms.hub import Hub


@pytest.fixture
def topic() -> str:
    return f"room:{secrets.token_hex(4)}"


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """Every test here runs on both back ends."""


pytestmark = pytest.mark.usefixtures("own")


async def test_a_topic_nobody_is_in_is_empty(topic: str) -> None:
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


async def test_updating_what_is_gone_says_so(topic: str) -> None:
    tracked = await tracker().track(topic, "a:1", {})
    await tracker().untrack(topic, [tracked.ref])

    with pytest.raises(NotTracked):
        await tracker().update(topic, tracked.ref, {})


async def test_untracking_takes_the_metas_as_they_were(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {"n": 1})
    second = await tracker().track(topic, "a:1", {"n": 2})

    diff = await tracker().untrack(topic, [first.ref])

    assert diff.leaves == first.diff.joins
    assert diff.joins == {}
    assert (await tracker().list(topic)).state == second.diff.joins


async def test_untracking_twice_leaves_nothing_to_tell(topic: str) -> None:
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
