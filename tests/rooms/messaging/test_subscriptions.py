"""Subscriptions follow the topics that have members, one change at a time."""

from __future__ import annotations

import asyncio

import pytest

from beam import redis
from rooms.messaging.control_topic import CONTROL_TOPIC
from rooms.messaging.subscriptions import Subscriptions, group_name


class FakeLayer:
    """A channel layer that keeps the groups of the mailbox, and may be slow or fail."""

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.calls = 0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.error: Exception | None = None

    async def group_add(self, group: str, channel: str) -> None:
        await self._call()
        self.groups.add(group)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._call()
        self.groups.discard(group)

    async def _call(self) -> None:
        self.calls += 1
        await self.is_open.wait()
        if self.error is not None:
            raise self.error


async def subscriptions(layer: FakeLayer, wanted: set[str]) -> Subscriptions:
    """Subscriptions of a mailbox that is in no group but that of the control topic."""
    made = Subscriptions(layer, wanted)
    await made.move_to("mailbox")
    layer.groups.clear()
    layer.calls = 0
    return made


async def test_a_new_mailbox_is_subscribed_to_all_topics_of_the_old_one() -> None:
    layer, wanted = FakeLayer(), {"a", "b"}
    made = await subscriptions(layer, wanted)
    await made.change("a")
    await made.change("b")
    layer.groups.clear()

    await made.move_to("another mailbox")

    assert layer.groups == {group_name(topic) for topic in (CONTROL_TOPIC, "a", "b")}


async def test_changes_of_one_topic_share_a_task() -> None:
    layer, wanted = FakeLayer(), {"a"}
    made = await subscriptions(layer, wanted)
    layer.is_open.clear()

    first, second = made.change("a"), made.change("a")
    assert first is second
    assert not made.has("a")
    layer.is_open.set()
    await first

    assert made.has("a")
    assert layer.calls == 1


async def test_a_topic_that_is_unwanted_during_its_change_is_not_kept() -> None:
    layer, wanted = FakeLayer(), {"a"}
    made = await subscriptions(layer, wanted)
    layer.is_open.clear()
    change = made.change("a")
    await asyncio.sleep(0)

    wanted.clear()
    layer.is_open.set()
    await change

    assert not made.has("a")
    assert layer.groups == set()


async def test_a_change_that_fails_can_be_repeated() -> None:
    layer, wanted = FakeLayer(), {"a"}
    made = await subscriptions(layer, wanted)
    layer.error = OSError("unavailable")
    with pytest.raises(redis.Unavailable):
        await made.change("a")
    assert not made.has("a")

    layer.error = None
    await made.change("a")

    assert made.has("a")
    assert layer.groups == {group_name("a")}


async def test_finish_waits_for_all_changes() -> None:
    layer, wanted = FakeLayer(), {"a", "b"}
    made = await subscriptions(layer, wanted)
    made.change("a")
    made.change("b")

    await made.finish()

    assert made.has("a")
    assert made.has("b")
