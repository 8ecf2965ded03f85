"""What the hub and the publisher promise on every channel layer."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.messaging import publisher
from rooms.messaging.fanout import release
from rooms.messaging.hub import Hub
from rooms.messaging.member import HeldEvents
from rooms.protocol.encoded_event import pack
from rooms.protocol.event import Event
from rooms.protocol.frame import Vsn
from tests.fakes import FakeMember


@pytest.fixture
def topic() -> str:
    return f"room:{secrets.token_hex(4)} any/script é"


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """Every test here runs on all channel layers."""


pytestmark = pytest.mark.usefixtures("own")


async def send(topic: str, payload: Any, **fields: Any) -> None:
    """Publish, and wait until this process has delivered."""
    name = fields.pop("name", "msg")
    event = Event(topic=topic, name=name, payload=payload, **fields)
    await publisher.publish_and_deliver(event)


async def test_an_event_reaches_every_member_of_its_topic_only(
    running_hub: Hub, topic: str
) -> None:
    here, also, other = FakeMember(topic), FakeMember(topic), FakeMember(topic + "x")
    for member in (here, also, other):
        await running_hub.attach(member)

    await send(topic, {"n": 1})

    assert (here.fake.got, also.fake.got, other.fake.got) == (
        [{"n": 1}],
        [{"n": 1}],
        [],
    )


async def test_a_v1_and_a_v2_socket_get_their_own_serializer(
    running_hub: Hub, topic: str
) -> None:
    old, new = FakeMember(topic, vsn=Vsn.V1), FakeMember(topic)
    await running_hub.attach(old)
    await running_hub.attach(new)

    await send(topic, {"ü": 1})

    assert json.loads(old.fake.writes[0][0]) == {
        "topic": topic,
        "event": "msg",
        "payload": {"ü": 1},
        "ref": None,
    }
    assert json.loads(new.fake.writes[0][0]) == [None, None, topic, "msg", {"ü": 1}]


async def test_events_of_one_publisher_keep_their_order(
    running_hub: Hub, topic: str
) -> None:
    member = FakeMember(topic)
    await running_hub.attach(member)

    for n in range(300):
        publisher.publish(Event(topic=topic, name="msg", payload={"n": n}))
    await send(topic, {"n": 300})

    assert [payload["n"] for payload in member.fake.got] == list(range(301))


async def test_only_the_sender_that_is_skipped_gets_no_event(
    running_hub: Hub, topic: str
) -> None:
    sender, other = FakeMember(topic), FakeMember(topic)
    await running_hub.attach(sender)
    await running_hub.attach(other)

    publisher.publish(Event(topic=topic, name="msg", payload={"n": 1}, skip=sender.id))
    await send(topic, {"n": 2})

    assert sender.fake.got == [{"n": 2}]
    assert other.fake.got == [{"n": 1}, {"n": 2}]


async def test_a_direct_event_reaches_each_member_with_a_label_once(
    running_hub: Hub, topic: str
) -> None:
    one = FakeMember(topic, "user:a", "session:a:1")
    two = FakeMember(topic, "user:a", "session:a:2")
    three = FakeMember(topic, "user:b", "session:b:1")
    for member in (one, two, three):
        await running_hub.attach(member)

    await send(topic, {"n": 1}, to=("user:a", "session:a:1"))
    await send(topic, {"n": 2}, to=("session:a:2",))
    await send(topic, {"n": 3}, to=())

    assert one.fake.got == [{"n": 1}]
    assert two.fake.got == [{"n": 1}, {"n": 2}]
    assert three.fake.got == []


async def test_a_member_that_left_gets_nothing_more(
    running_hub: Hub, topic: str
) -> None:
    gone, here = FakeMember(topic, "user:a"), FakeMember(topic, "user:a")
    await running_hub.attach(gone)
    await running_hub.attach(here)

    running_hub.detach(gone)
    running_hub.detach(gone)
    await send(topic, {"n": 1})
    await send(topic, {"n": 2}, to=("user:a",))

    assert (gone.fake.got, here.fake.got) == ([], [{"n": 1}, {"n": 2}])


async def test_a_topic_can_be_left_and_joined_in_quick_succession(
    running_hub: Hub, topic: str
) -> None:
    for _ in range(5):
        passing = FakeMember(topic)
        await running_hub.attach(passing)
        running_hub.detach(passing)
    member = FakeMember(topic)
    await running_hub.attach(member)

    await send(topic, {"n": 1})

    assert member.fake.got == [{"n": 1}]
    assert running_hub.size(topic) == 1


async def test_a_member_is_notified_if_too_many_events_come_during_its_join(
    topic: str, running_hub: Hub, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"outbound_limit": 250}
    member = FakeMember(topic)
    member.held = HeldEvents()
    await running_hub.attach(member)
    dropped = metrics.DROPPED.value

    for n in range(5):
        await send(topic, {"n": n, "text": "x" * 400})
    kept = list(member.held)
    release(member)

    assert kept == []
    assert metrics.DROPPED.value == dropped + 5
    assert member.intercepted == ["overflowed"]
    assert member.fake.got == []


async def test_a_large_event_during_a_join_is_held(
    topic: str, running_hub: Hub, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"outbound_limit": 250}
    member = FakeMember(topic)
    member.held = HeldEvents()
    await running_hub.attach(member)

    await send(topic, {"n": 1, "text": "x" * 4_000})
    release(member)

    assert [payload["n"] for payload in member.fake.got] == [1]


async def test_events_during_a_join_are_written_at_its_end(
    running_hub: Hub, topic: str
) -> None:
    member = FakeMember(topic, "user:a")
    member.held = HeldEvents()
    await running_hub.attach(member)
    await send(topic, {"n": 1})
    await send(topic, {"n": 2}, skip=member.id)
    await send(topic, {"n": 3}, to=("user:b",))
    await send(topic, {"n": 4}, to=("user:a",))
    held = list(member.fake.got)

    release(member)
    await send(topic, {"n": 5})

    assert held == []
    assert [payload["n"] for payload in member.fake.got] == [1, 4, 5]


async def test_a_presence_change_that_a_member_knows_is_not_repeated(
    running_hub: Hub, topic: str
) -> None:
    fresh, older = FakeMember(topic), FakeMember(topic)
    fresh.since, older.since = 10, 5
    await running_hub.attach(fresh)
    await running_hub.attach(older)

    for version in (5, 6, 10, 11):
        diff: dict[str, Any] = {"joins": {}, "leaves": {}, "v": version}
        await send(topic, diff, version=version)

    assert [payload["v"] for payload in older.fake.got] == [6, 10, 11]
    assert [payload["v"] for payload in fresh.fake.got] == [11]


async def test_an_intercepted_event_goes_only_to_the_channel(
    running_hub: Hub, topic: str
) -> None:
    member = FakeMember(topic)
    member.intercepts = frozenset({"secret"})
    await running_hub.attach(member)

    await send(topic, {}, name="secret")
    await send(topic, {"n": 1})

    assert member.intercepted == ["secret"]
    assert member.fake.got == [{"n": 1}]


async def test_a_binary_event_is_not_sent_to_a_v1_socket(
    running_hub: Hub, topic: str
) -> None:
    old, new = FakeMember(topic, vsn=Vsn.V1), FakeMember(topic)
    await running_hub.attach(old)
    await running_hub.attach(new)

    await send(topic, b"\x00\xff")

    assert old.fake.writes == [[]]
    assert new.fake.writes[0][0].endswith(b"msg\x00\xff")


async def test_events_of_one_turn_are_one_write(running_hub: Hub, topic: str) -> None:
    member = FakeMember(topic)
    await running_hub.attach(member)

    messages = [
        pack(Event(topic=topic, name="msg", payload={"n": n})) for n in range(3)
    ]
    for message in messages:
        running_hub.deliver(message)
    await asyncio.sleep(0)

    assert [len(write) for write in member.fake.writes] == [3]


async def test_an_event_that_the_layer_refuses_raises_and_is_counted(
    topic: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*args: Any) -> None:
        raise ConnectionError("the text of an event")

    def failed(*args: Any) -> asyncio.Future[None]:
        sent = asyncio.get_running_loop().create_future()
        sent.set_exception(ConnectionError("the text of an event"))
        return sent

    event = Event(topic=topic, name="msg", payload={})
    await publisher.published(event)
    layer = publisher.publisher()._layer
    monkeypatch.setattr(layer, "group_send", fail, raising=False)
    monkeypatch.setattr(layer, "publish", failed, raising=False)
    before = metrics.UNPUBLISHED.value

    with pytest.raises(publisher.NotPublished):
        await publisher.published(event)

    assert metrics.UNPUBLISHED.value == before + 1
    assert caplog.messages == ["The channel layer refuses events: ConnectionError"]
