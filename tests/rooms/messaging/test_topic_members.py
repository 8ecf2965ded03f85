"""The members of one topic, by id and by label."""

from __future__ import annotations

from rooms.messaging.topic_members import TopicMembers
from tests.fakes import FakeMember


def test_members_are_found_by_any_of_their_labels() -> None:
    topic = TopicMembers()
    one = FakeMember("t", "user:a", "session:a:1")
    two = FakeMember("t", "user:a", "session:a:2")
    three = FakeMember("t", "user:b", "session:b:1")
    for member in (one, two, three):
        topic.add(member)

    found = topic.addressed(["session:a:1", "user:b", "user:unknown"])

    assert list(found.values()) == [one, three]
    assert list(topic.addressed(["user:a"]).values()) == [one, two]


def test_a_member_that_was_removed_leaves_no_label() -> None:
    topic = TopicMembers()
    member = FakeMember("t", "user:a")
    topic.add(member)

    topic.remove(member)
    topic.remove(member)

    assert topic.recipients == {}
    assert topic.by_label == {}
    assert topic.member_count == 0
