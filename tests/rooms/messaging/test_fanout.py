"""The fan-out joins consecutive events into one write, and keeps their order."""

from __future__ import annotations

from typing import Any

from rooms.messaging.fanout import release, write
from rooms.messaging.member import HeldEvents
from rooms.messaging.topic_members import TopicMembers
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event
from tests.fakes import FakeMember


def event(n: int, **fields: Any) -> Delivery:
    return Delivery(pack(Event(topic="t", name="msg", payload={"n": n}, **fields)))


def sizes(member: FakeMember) -> list[int]:
    """How many events each write had."""
    return [len(events) for events in member.fake.writes]


def numbers(member: FakeMember) -> list[int]:
    return [payload["n"] for payload in member.fake.got]


def test_a_direct_event_splits_the_events_for_all_in_two_writes() -> None:
    topic, ada, bob = TopicMembers(), FakeMember("t", "user:ada"), FakeMember("t")
    topic.add(ada)
    topic.add(bob)
    batch = [event(1), event(2), event(3, to=("user:ada",)), event(4)]

    write(topic, batch)

    assert (numbers(ada), sizes(ada)) == ([1, 2, 3, 4], [2, 1, 1])
    assert (numbers(bob), sizes(bob)) == ([1, 2, 4], [2, 1])


def test_members_of_an_excluded_label_get_no_event() -> None:
    topic, ada, bob = TopicMembers(), FakeMember("t", "user:ada"), FakeMember("t")
    topic.add(ada)
    topic.add(bob)

    write(topic, [event(1, without=("user:ada",))])

    assert (numbers(ada), numbers(bob)) == ([], [1])


def test_an_urgent_event_does_not_wait_for_the_end_of_a_join() -> None:
    topic, ada = TopicMembers(), FakeMember("t")
    ada.intercepts = ada.urgent = frozenset({"msg"})
    ada.held = HeldEvents()
    topic.add(ada)

    write(topic, [event(1)])

    assert ada.intercepted == ["msg"]
    release(ada)
    assert ada.intercepted == ["msg"]


def test_a_release_without_a_join_writes_nothing() -> None:
    ada = FakeMember("t")

    release(ada)

    assert ada.fake.writes == []
