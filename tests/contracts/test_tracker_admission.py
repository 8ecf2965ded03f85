"""Which keys both trackers admit: bans, and limits of entries, groups and bytes."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from presence import admission
from presence.admission import Limits, NotAdmitted
from presence.factory import tracker
from presence.redis_tracker import RedisTracker
from rooms.messaging.hub import Hub


@pytest.fixture
def topic() -> str:
    return f"room:{secrets.token_hex(4)}"


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """Every test here runs with both trackers."""


pytestmark = pytest.mark.usefixtures("own")


@pytest.mark.parametrize(
    "ban", [admission.EVERYONE, admission.group("a"), admission.key("a:1")]
)
async def test_a_grace_period_of_a_banned_key_is_reported_as_banned(
    topic: str, ban: admission.Ban
) -> None:
    tracked = await tracker().track(topic, "a:1", {}, "a")
    other = await tracker().track(topic, "b:1", {}, "b")
    await tracker().ban(topic, ban)

    left = await tracker().leave(topic, tracked.ref)

    assert left == (tracked.ref, True)
    assert (await tracker().expire(topic, left.ref)).leaves == tracked.diff.joins
    banned = (await tracker().leave(topic, other.ref)).banned
    assert banned == (ban == admission.EVERYONE)


async def test_a_closed_topic_refuses_every_key_until_it_is_opened(topic: str) -> None:
    await tracker().track(topic, "a:1", {}, "a")

    await tracker().ban(topic, admission.EVERYONE)

    with pytest.raises(NotAdmitted) as caught:
        await tracker().track(topic, "b:1", {}, "b")
    assert caught.value.reason == "closed"
    with pytest.raises(NotAdmitted):
        await tracker().admit(topic, "b:1", "b")
    assert await tracker().is_banned(topic, admission.EVERYONE)
    assert list((await tracker().list(topic)).state) == ["a:1"]
    await tracker().unban(topic, admission.EVERYONE)
    assert not await tracker().is_banned(topic, admission.EVERYONE)
    await tracker().track(topic, "b:1", {}, "b")


async def test_a_ban_applies_to_its_group_or_key_only(topic: str) -> None:
    await tracker().ban(topic, admission.group("a"), 60)
    await tracker().ban(topic, admission.key("b:1"), 60)

    for key, group in (("a:1", "a"), ("a:2", "a"), ("b:1", "b")):
        with pytest.raises(NotAdmitted) as caught:
            await tracker().track(topic, key, {}, group)
        assert caught.value.reason == "blocked"
        with pytest.raises(NotAdmitted):
            await tracker().admit(topic, key, group)
    await tracker().track(topic, "b:2", {}, "b")
    await tracker().admit(topic, "c:1", "c")
    assert not await tracker().is_banned(topic, admission.EVERYONE)


async def test_a_ban_ends_after_its_time(topic: str) -> None:
    await tracker().ban(topic, admission.group("a"), 0.02)
    await tracker().ban(topic, admission.key("b:1"), 60)
    deadline = time.monotonic() + 5

    while await tracker().is_banned(topic, admission.group("a")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)

    await tracker().track(topic, "a:1", {}, "a")
    with pytest.raises(NotAdmitted):
        await tracker().track(topic, "b:1", {}, "b")


def meta_of(size: int) -> dict[str, Any]:
    """A meta of about so many bytes."""
    return {"text": "x" * size}


TWO = Limits(entries=2)
TWO_EACH = Limits(of_group=2)


async def test_the_number_of_bans_of_a_topic_is_bounded(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_BANS", 2)
    await tracker().ban(topic, admission.group("a"), 60)
    await tracker().ban(topic, admission.key("b:1"), 60)

    with pytest.raises(admission.TooManyBans):
        await tracker().ban(topic, admission.group("c"), 60)
    assert not await tracker().is_banned(topic, admission.group("c"))
    # A ban may be renewed, and the topic closed, at any time.
    await tracker().ban(topic, admission.group("a"), 120)
    await tracker().ban(topic, admission.EVERYONE)
    await tracker().unban(topic, admission.key("b:1"))
    await tracker().unban(topic, admission.EVERYONE)
    await tracker().ban(topic, admission.group("c"), 60)
    assert await tracker().is_banned(topic, admission.group("c"))


async def test_a_full_topic_admits_only_keys_in_their_grace_period(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {}, "a", TWO)
    await tracker().track(topic, "b:1", {}, "b", TWO)

    with pytest.raises(NotAdmitted) as caught:
        await tracker().track(topic, "c:1", {}, "c", TWO)
    assert caught.value.reason == "full"
    await tracker().leave(topic, first.ref)
    assert (await tracker().track(topic, "a:1", {}, "a", TWO)).ref == first.ref
    await tracker().untrack(topic, [first.ref])
    await tracker().track(topic, "c:1", {}, "c", TWO)


async def test_a_group_has_a_bounded_number_of_entries(topic: str) -> None:
    first = await tracker().track(topic, "a:1", {}, "a", TWO_EACH)
    await tracker().track(topic, "a:1", {}, "a", TWO_EACH)

    with pytest.raises(NotAdmitted) as caught:
        await tracker().track(topic, "a:2", {}, "a", TWO_EACH)
    assert caught.value.reason == "group_full"
    await tracker().track(topic, "b:1", {}, "b", TWO_EACH)
    await tracker().leave(topic, first.ref)
    assert (await tracker().track(topic, "a:1", {}, "a", TWO_EACH)).ref == first.ref
    await tracker().untrack(topic, [first.ref])
    await tracker().track(topic, "a:2", {}, "a", TWO_EACH)
    assert await tracker().sizes([topic]) == [(3, 2)]


async def test_concurrent_joins_do_not_exceed_the_limit_of_a_group(topic: str) -> None:
    async def join(n: int) -> bool:
        try:
            await tracker().track(topic, f"a:{n}", {}, "a", TWO_EACH)
        except NotAdmitted:
            return False
        return True

    joined = await asyncio.gather(*map(join, range(20)))

    assert sum(joined) == 2


SMALL = Limits(size=3_000)


async def test_the_bytes_of_all_entries_are_bounded(topic: str) -> None:
    refs = []
    for n in range(2):
        tracked = await tracker().track(topic, f"a:{n}", meta_of(1_000), "a", SMALL)
        refs.append(tracked.ref)

    with pytest.raises(NotAdmitted) as caught:
        await tracker().track(topic, "b:1", meta_of(1_000), "b", SMALL)
    assert caught.value.reason == "too_large"
    await tracker().track(topic, "b:1", meta_of(100), "b", SMALL)
    await tracker().untrack(topic, refs[:1])
    await tracker().track(topic, "b:2", meta_of(1_000), "b", SMALL)


async def test_an_update_cannot_exceed_the_bytes_of_a_topic(topic: str) -> None:
    first = await tracker().track(topic, "a:1", meta_of(1_000), "a", SMALL)
    await tracker().track(topic, "b:1", meta_of(1_000), "b", SMALL)

    with pytest.raises(NotAdmitted) as caught:
        await tracker().update(topic, first.ref, meta_of(2_000), SMALL)
    assert caught.value.reason == "too_large"
    state = (await tracker().list(topic)).state
    assert state["a:1"] == first.diff.joins["a:1"]
    second = await tracker().update(topic, first.ref, meta_of(1_200), SMALL)
    # An update that makes it smaller is always accepted, and counts from then on.
    third = await tracker().update(topic, second.ref, meta_of(10), Limits(size=1))
    await tracker().update(topic, third.ref, meta_of(1_200), SMALL)


async def test_every_change_keeps_the_count_of_bytes_right(topic: str) -> None:
    for n in range(5):
        tracked = await tracker().track(topic, "a:1", meta_of(1_000), "a", SMALL)
        updated = await tracker().update(topic, tracked.ref, meta_of(2_000), SMALL)
        await tracker().leave(topic, updated.ref)
        await tracker().track(topic, "a:1", meta_of(5_000), "a", SMALL)
        await tracker().leave(topic, updated.ref)
        if n % 2:
            await tracker().expire(topic, updated.ref)
        else:
            await tracker().end_grace(topic, admission.EVERYONE)

    assert await tracker().sizes([topic]) == [(0, 0)]


async def test_a_refused_member_leaves_no_trace(topic: str) -> None:
    await tracker().ban(topic, admission.EVERYONE)
    with pytest.raises(NotAdmitted):
        await tracker().track(topic, "a:1", {}, "a")

    assert await tracker().sizes([topic]) == [(0, 0)]
    if isinstance(found := tracker(), RedisTracker):
        assert topic not in found.topics()
        assert topic not in await found.index.topics_of(found.process())
