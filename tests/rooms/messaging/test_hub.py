"""The hub: its counts, and a failure in one topic."""

from __future__ import annotations

import asyncio

import pytest

from beam.telemetry import metrics
from rooms.messaging.hub import Hub
from rooms.protocol.encoded_event import pack
from rooms.protocol.event import Event
from tests.fakes import FakeMember


async def test_a_failure_in_one_topic_does_not_affect_the_others(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = FakeMember("bad"), FakeMember("good")
    await running_hub.attach(bad)
    await running_hub.attach(good)
    before = metrics.FAN_OUT_FAILED.value

    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bad.fake, "deliver", fail)
    for topic in ("bad", "good"):
        running_hub.deliver(pack(Event(topic=topic, name="changed", payload={})))
    await asyncio.sleep(0)

    assert good.fake.got == [{}]
    assert metrics.FAN_OUT_FAILED.value == before + 1


async def test_an_event_of_a_topic_without_members_is_dropped(
    running_hub: Hub,
) -> None:
    running_hub.deliver(pack(Event(topic="nobody", name="changed", payload={})))
    await asyncio.sleep(0)

    assert running_hub.size("nobody") == 0
    assert running_hub.latest_version("nobody") == 0


async def test_members_and_topics_are_counted(running_hub: Hub) -> None:
    member = FakeMember("t")
    await running_hub.attach(member)
    lived = (
        running_hub.has_members("t"),
        running_hub.count_topics(),
        running_hub.members,
    )

    running_hub.detach(member)

    assert lived == (True, 1, 1)
    assert not running_hub.has_members("t")
    assert (running_hub.count_topics(), running_hub.members) == (0, 0)


async def test_an_observer_gets_events_and_is_not_counted(running_hub: Hub) -> None:
    member, observer = FakeMember("t"), FakeMember("t")
    await running_hub.attach_observer(observer)
    assert not running_hub.has_members("t")
    await running_hub.attach(member)

    running_hub.deliver(pack(Event(topic="t", name="changed", payload={})))
    await asyncio.sleep(0)

    assert observer.fake.got == member.fake.got == [{}]
    assert _numbers(running_hub) == (1, 1, 2)
    running_hub.detach(member)
    running_hub.detach(member)
    assert _numbers(running_hub) == (0, 0, 1)
    running_hub.detach(observer)
    assert _numbers(running_hub) == (0, 0, 0)


def _numbers(hub: Hub) -> tuple[int, int, int]:
    """Topics with members, members, and recipients of the topic `t`."""
    return hub.count_topics(), hub.members, hub.size("t")
