"""Events of backends: how they are parsed, and why they are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.api.event_parser import Invalid, parse_event, parse_item, room_count
from rooms.protocol.event import Event

BYTES = 1_000
RECIPIENTS = 5


def test_an_item_is_an_event_with_defaults() -> None:
    assert parse_item({"room_id": "a"}, BYTES, RECIPIENTS) == [
        Event(topic="room:a", name="new_msg", payload={})
    ]


def test_an_item_for_several_rooms_becomes_one_event_for_each_in_order() -> None:
    item = {"room_ids": ["b", "a"], "event": "e", "payload": {"n": 1}}

    events = parse_item(item, BYTES, RECIPIENTS)

    assert [event.topic for event in events] == ["room:b", "room:a"]
    assert {event.name for event in events} == {"e"}
    assert room_count(item) == 2


def test_a_whole_number_is_an_id_in_every_place() -> None:
    item: dict[str, Any] = {
        "to": [{"user_id": 42}, {"userId": 7}],
        "except": [{"user_id": 9}],
    }
    [one] = parse_item(item | {"room_id": 42}, BYTES, RECIPIENTS)
    [several] = parse_item(item | {"room_ids": [42]}, BYTES, RECIPIENTS)

    assert one.topic == several.topic == parse_event({"room_id": 42}).topic == "room:42"
    assert one.to == ("user:42", "user:7")
    assert one.without == ("user:9",)


def test_rooms_and_recipients_that_are_named_twice_count_once() -> None:
    item = {
        "room_ids": ["b", "a", "b", 7, "7"],
        "to": [{"user_id": "v"}, {"userId": "v"}, {"session": "v:1"}] * 9,
        "except": [{"user_id": "w"}] * 9,
    }

    events = parse_item(item, BYTES, RECIPIENTS)

    assert [event.topic for event in events] == ["room:b", "room:a", "room:7"]
    assert events[0].to == ("user:v", "session:v:1")
    assert events[0].without == ("user:w",)


@pytest.mark.parametrize("member", ["to", "except"])
def test_the_number_of_recipients_is_limited(member: str) -> None:
    entries = [{"user_id": f"u{n}"} for n in range(6)]
    parse_item({"room_id": "a", member: entries[:5]}, BYTES, RECIPIENTS)

    with pytest.raises(Invalid) as refused:
        parse_item({"room_id": "a", member: entries}, BYTES, RECIPIENTS)

    assert refused.value.fields == {member: "must name at most 5 recipients, not 6"}


def test_recipients_become_labels() -> None:
    [event] = parse_item(
        {
            "room_id": "a",
            "to": [{"session": "u:1"}, {"user_id": "v"}, {"userId": "w"}],
            "except": [{"session": "v:2"}],
        },
        BYTES,
        RECIPIENTS,
    )

    assert event.to == ("session:u:1", "user:v", "user:w")
    assert event.without == ("session:v:2",)


@pytest.mark.parametrize(
    ("item", "members"),
    [
        ([], {""}),
        ({}, {"room_id"}),
        ({"room_id": "a", "room_ids": ["b"]}, {"room_id"}),
        ({"room_id": ""}, {"room_id"}),
        ({"room_id": True}, {"room_id"}),
        ({"room_id": 1.5}, {"room_id"}),
        ({"room_id": None}, {"room_id"}),
        ({"room_id": ["a"]}, {"room_id"}),
        ({"room_id": "a\n"}, {"room_id"}),
        ({"room_ids": []}, {"room_ids"}),
        ({"room_ids": "ab"}, {"room_ids"}),
        ({"room_ids": ["a", None]}, {"room_ids"}),
        ({"room_id": "a", "event": ""}, {"event"}),
        ({"room_id": "a", "event": 7}, {"event"}),
        ({"room_id": "a", "event": "phx_close"}, {"event"}),
        ({"room_id": "a", "event": "e" * 201}, {"event"}),
        ({"room_id": "a", "payload": []}, {"payload"}),
        ({"room_id": "a", "payload": {"x": "y" * BYTES}}, {"payload"}),
        ({"room_id": "a", "to": {"session": "u:1"}}, {"to"}),
        ({"room_id": "a", "to": None}, {"to"}),
        ({"room_id": "a", "except": [{"session": 1}]}, {"except"}),
        ({"room_id": "a", "too": []}, {"too"}),
        ({"payload": 1, "event": 2}, {"room_id", "payload", "event"}),
    ],
)
def test_errors_name_the_field_and_the_reason(item: Any, members: set[str]) -> None:
    with pytest.raises(Invalid) as error:
        parse_item(item, BYTES, RECIPIENTS)

    assert set(error.value.fields) == members


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["room_id", "room_ids", "event", "to", "session"]), inner
        )
    ),
)


@given(Json)
def test_any_other_value_raises_invalid(item: Any) -> None:
    try:
        events = parse_item(item, BYTES, RECIPIENTS)
    except Invalid:
        return
    assert len(events) == room_count(item)
