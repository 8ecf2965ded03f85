"""Requests: their paths and bodies."""

from __future__ import annotations

import json

import pytest
from beam_client import (
    Event,
)

from tests.python_client.script import DETAILS, Script


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        (".", b"%2E"),
        ("..", b"%2E%2E"),
        ("...", b"..."),
        ("a.b", b"a.b"),
        ("%2E", b"%252E"),
        ("../..", b"..%2F.."),
        ("a/b é?#%", b"a%2Fb%20%C3%A9%3F%23%25"),
    ],
)
def test_an_id_is_one_segment_of_the_path(name: str, sent: bytes) -> None:
    server = Script(DETAILS, {"members": []}, {})
    beam = server.beam()

    beam.room(name)
    beam.presence(name)
    beam.disconnect(name)

    assert [request.url.raw_path for request in server.requests] == [
        b"/api/v1/rooms/" + sent,
        b"/api/v1/rooms/" + sent + b"/presence",
        b"/api/v1/users/" + sent + b"/disconnect",
    ]


async def test_an_empty_id_is_refused_before_anything_is_sent() -> None:
    for name in ("room", "presence", "close_room", "open_room", "disconnect"):
        with pytest.raises(ValueError, match="must not be empty"):
            getattr(Script().beam(), name)("")
        with pytest.raises(ValueError, match="must not be empty"):
            await getattr(Script().async_beam(), name)("")


def test_a_whole_number_is_an_id() -> None:
    server = Script(DETAILS, {}, {})
    beam = server.beam()

    beam.room(42)
    beam.publish(42, "changed")
    beam.disconnect(7)

    assert [request.url.raw_path for request in server.requests] == [
        b"/api/v1/rooms/42",
        b"/api/v1/push_room_event",
        b"/api/v1/users/7/disconnect",
    ]
    assert json.loads(server.requests[1].content)["room_id"] == 42
    assert Event(42).item()["room_id"] == 42
    assert Event([42, "a"]).item()["room_ids"] == [42, "a"]


def test_a_batch_has_all_fields_of_its_events() -> None:
    server = Script({"results": [{"status": "ok"}] * 2})
    event = Event(
        ["a", "b"], "changed", {"n": 1}, [{"user_id": "u"}], [{"session": "u:1"}]
    )

    results = server.beam().publish_batch([event, Event("c")])

    assert results == [{"status": "ok"}] * 2
    assert json.loads(server.requests[0].content) == {
        "events": [
            {
                "room_ids": ["a", "b"],
                "event": "changed",
                "payload": {"n": 1},
                "to": [{"user_id": "u"}],
                "except": [{"session": "u:1"}],
            },
            {"room_id": "c", "event": "new_msg", "payload": {}},
        ]
    }


def test_either_a_user_or_a_session_is_removed() -> None:
    with pytest.raises(ValueError, match="either"):
        Script().beam().remove("r")
