"""The channel rules of one connection (section 3 of the wire protocol)."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.protocol.connection import (
    Connection,
    Ignore,
    Join,
    Leave,
    Push,
    Refuse,
    Send,
    channel_join_ref,
)
from rooms.protocol.messages import Frame


def joined(*topics: str, join_ref: Any = "1", **fields: Any) -> Connection:
    """A connection that has joined these topics."""
    connection = Connection(matches=lambda topic: topic != "nope", **fields)
    for topic in topics:
        connection.accept(Frame(join_ref, "1", topic, "phx_join", {}), {})
    return connection


def error(frame: Frame, reason: Any, join_ref: Any = None) -> Refuse:
    """The error reply to a frame."""
    body = {"status": "error", "response": {"reason": reason}}
    answer = Frame(join_ref, frame.ref, frame.topic, "phx_reply", body)
    return Refuse((answer,), reason, is_join=frame.event == "phx_join")


def ok(frame: Frame, join_ref: Any = None, response: Any = None) -> Frame:
    """The ok reply to a frame."""
    body = {"status": "ok", "response": response or {}}
    return Frame(join_ref, frame.ref, frame.topic, "phx_reply", body)


@pytest.mark.parametrize("ref", ["1", "0", "", None, 5])
@pytest.mark.parametrize("payload", [{}, None, b""])
def test_a_heartbeat_is_answered_with_a_null_join_ref(ref: Any, payload: Any) -> None:
    beat = Frame("x", ref, "phoenix", "heartbeat", payload)

    assert joined().receive(beat) == Send((ok(beat),))


@pytest.mark.parametrize("event", ["foo", "phx_join", "phx_reply", None, 5, ["x"]])
def test_any_other_event_on_phoenix_is_unmatched(event: Any) -> None:
    connection = Connection(matches=lambda topic: False)
    frame = Frame(None, "3", "phoenix", event, {})

    assert connection.receive(frame) == error(frame, "unmatched topic")


def test_a_join_is_run() -> None:
    frame = Frame("1", "1", "t", "phx_join", {})

    assert joined().receive(frame) == Join(frame, replaces=False)


def test_a_join_that_no_pattern_matches_is_unmatched() -> None:
    frame = Frame("1", "1", "nope", "phx_join", {})

    assert joined().receive(frame) == error(frame, "unmatched topic")


@pytest.mark.parametrize("topic", [None, 5, True, ["t"], {"t": 1}])
def test_a_topic_that_is_no_text_is_unmatched_and_can_be_left(topic: Any) -> None:
    join, push, leave = (
        Frame("1", "1", topic, event, {}) for event in ("phx_join", "x", "phx_leave")
    )

    assert joined().receive(join) == error(join, "unmatched topic")
    assert joined().receive(push) == error(push, "unmatched topic")
    assert joined().receive(leave) == Send((ok(leave, "1"),))


def test_the_maximum_of_channels_is_kept() -> None:
    connection = joined("a", "b", max_channels=2)
    more = Frame("9", "9", "c", "phx_join", {})
    again = Frame("9", "9", "b", "phx_join", {})

    assert connection.receive(more) == error(more, "too many channels joined", "9")
    assert connection.receive(again) == Join(again, replaces=True)
    connection.end("a")
    assert connection.receive(more) == Join(more, replaces=False)


@pytest.mark.parametrize("join_ref", ["1", None, 1, "", 0])
def test_an_accepted_join_echoes_its_refs(join_ref: Any) -> None:
    frame = Frame(join_ref, "2", "t", "phx_join", {})

    assert joined().accept(frame, {"a": 1}) == (ok(frame, join_ref, {"a": 1}),)


def test_a_rejected_join_leaves_nothing_behind() -> None:
    connection = joined()
    frame = Frame("1", "1", "t", "phx_join", {})
    later = Frame("1", "2", "t", "x", {})

    frames = connection.reject(frame, {"reason": "no"})

    assert frames == error(frame, "no", "1").frames
    assert connection.receive(later) == error(later, "unmatched topic")


def test_a_second_join_closes_the_first_behind_its_reply() -> None:
    connection = joined("t", join_ref="1")
    frame = Frame("2", "2", "t", "phx_join", {})

    frames = connection.accept(frame, {})

    assert frames == (ok(frame, "2"), Frame("1", "1", "t", "phx_close", {}))
    assert connection.joined == {"t": "2"}


def test_a_second_join_that_is_refused_closes_the_first_too() -> None:
    connection = joined("t", join_ref="1")
    frame = Frame("2", "2", "t", "phx_join", {})

    frames = connection.reject(frame, {"reason": "no"})

    assert frames[1] == Frame("1", "1", "t", "phx_close", {})
    assert connection.joined == {}


@pytest.mark.parametrize(
    ("known", "sent", "fits"),
    [
        ("1", "1", True),
        ("1", None, True),
        (None, None, True),
        (None, "1", False),
        ("1", "2", False),
        ("1", "", False),
        ("", "", True),
        ("", "0", False),
        ("1", 1, False),
        (1, 1, True),
        (1, True, False),
        (1, 1.0, False),
        ([1], [1], True),
    ],
)
def test_a_message_is_taken_if_its_join_ref_is_null_or_equal(
    known: Any,
    sent: Any,
    fits: bool,
) -> None:
    push, leave = (Frame(sent, "9", "t", event, {}) for event in ("x", "phx_leave"))

    connection = joined("t", join_ref=known)

    assert connection.receive(push) == (Push(push) if fits else Ignore())
    assert connection.receive(leave) == (Leave(leave) if fits else Ignore())


@pytest.mark.parametrize("event", ["x", "phx_reply", "phx_close", None, ["x"], 5])
def test_a_message_to_a_topic_not_joined_is_unmatched(event: Any) -> None:
    frame = Frame("1", None, "t", event, {})

    assert joined().receive(frame) == error(frame, "unmatched topic")


@pytest.mark.parametrize("topic", ["t", "nope", "phoenix"])
@pytest.mark.parametrize("join_ref", ["1", None])
def test_leaving_what_is_not_joined_is_ok(topic: str, join_ref: Any) -> None:
    frame = Frame(join_ref, "2", topic, "phx_leave", {})

    assert joined().receive(frame) == Send((ok(frame, join_ref),))


@pytest.mark.parametrize("join_ref", ["1", None])
def test_the_ends_of_a_channel_carry_the_join_ref_twice(join_ref: Any) -> None:
    connection = joined("a", "b", join_ref=join_ref)

    assert connection.end("a") == (Frame(join_ref, join_ref, "a", "phx_close", {}),)
    crashed = {"reason": "channel_crash"}
    assert connection.crash("b") == (
        Frame(join_ref, join_ref, "b", "phx_error", crashed),
    )
    assert connection.joined == {}


@pytest.mark.parametrize(
    ("join_ref", "own"), [("7", "7"), ("", ""), (0, 0), (None, "2")]
)
def test_a_channel_speaks_with_the_join_ref_or_else_the_ref(
    join_ref: Any, own: Any
) -> None:
    assert channel_join_ref(Frame(join_ref, "2", "t", "phx_join", {})) == own
