"""The channel rules of one connection (section 3 of the wire protocol)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rooms.protocol.close_codes import Close
from rooms.protocol.connection import Connection, Limits, channel_join_ref
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.step import CloseSocket, Ignore, Join, Leave, Push, Refuse, Send


class AllBut:
    """All topics but one."""

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def __contains__(self, topic: object) -> bool:
        return topic != self._topic


def joined(
    *topics: str, join_ref: Any = "1", vsn: Vsn = Vsn.V2, **limits: Any
) -> Connection:
    """A connection that has joined these topics."""
    connection = Connection(vsn, AllBut("nope"), Limits(**limits))
    for topic in topics:
        connection.accept(Frame(join_ref, "1", topic, "phx_join", {}), {})
    return connection


def error(
    frame: Frame,
    reason: Any,
    join_ref: Any = None,
    message: str = "",
    replaces: bool = False,
) -> Refuse:
    """The error reply to a frame."""
    response = {"reason": reason} | ({"message": message} if message else {})
    body = {"status": "error", "response": response}
    answer = Frame(join_ref, frame.ref, frame.topic, "phx_reply", body)
    is_join = frame.event == "phx_join"
    return Refuse(answer, reason, is_join, message, replaces)


def ok(frame: Frame, join_ref: Any = None, response: Any = None) -> Frame:
    """The ok reply to a frame."""
    body = {"status": "ok", "response": response or {}}
    return Frame(join_ref, frame.ref, frame.topic, "phx_reply", body)


def text(frame: Frame) -> str:
    """A frame as a V2 client sends it."""
    return json.dumps(list(frame))


@pytest.mark.parametrize("ref", ["1", "0", "", None, 5])
@pytest.mark.parametrize("payload", [{}, None, b""])
def test_a_heartbeat_is_answered_with_a_null_join_ref(ref: Any, payload: Any) -> None:
    heartbeat = Frame("x", ref, "phoenix", "heartbeat", payload)

    assert joined().receive_frame(heartbeat) == Send((ok(heartbeat),))


@pytest.mark.parametrize("event", ["foo", "phx_join", "phx_reply", None, 5, ["x"]])
def test_any_other_event_on_phoenix_is_unmatched(event: Any) -> None:
    connection = Connection(Vsn.V2, topics=())
    frame = Frame(None, "3", "phoenix", event, {})

    assert connection.receive_frame(frame) == error(frame, "unmatched topic")


def test_a_join_is_run() -> None:
    frame = Frame("1", "1", "t", "phx_join", {})

    assert joined().receive_frame(frame) == Join(frame, replaces=False)


def test_a_join_that_no_pattern_matches_is_unmatched() -> None:
    frame = Frame("1", "1", "nope", "phx_join", {})

    assert joined().receive_frame(frame) == error(frame, "unmatched topic")


@pytest.mark.parametrize("topic", [None, 5, True, ["t"], {"t": 1}])
def test_a_topic_that_is_not_text_is_unmatched_and_can_be_left(topic: Any) -> None:
    join, push, leave = (
        Frame("1", "1", topic, event, {}) for event in ("phx_join", "x", "phx_leave")
    )

    assert joined().receive_frame(join) == error(join, "unmatched topic")
    assert joined().receive_frame(push) == error(push, "unmatched topic")
    assert joined().receive_frame(leave) == Send((ok(leave, "1"),))


def test_the_number_of_channels_is_limited() -> None:
    connection = joined("a", "b", max_channels=2)
    more = Frame("9", "9", "c", "phx_join", {})
    again = Frame("9", "9", "b", "phx_join", {})

    assert connection.receive_frame(more) == error(
        more, "too many channels joined", "9"
    )
    assert connection.receive_frame(again) == Join(again, replaces=True)
    connection.end("a")
    assert connection.receive_frame(more) == Join(more, replaces=False)


@pytest.mark.parametrize("join_ref", ["1", None, 1, "", 0])
def test_an_accepted_join_echoes_its_refs(join_ref: Any) -> None:
    frame = Frame(join_ref, "2", "t", "phx_join", {})

    assert joined().accept(frame, {"a": 1}) == (ok(frame, join_ref, {"a": 1}),)


def test_a_rejected_join_leaves_nothing_behind() -> None:
    connection = joined()
    frame = Frame("1", "1", "t", "phx_join", {})
    later = Frame("1", "2", "t", "x", {})

    frames = connection.reject(frame, {"reason": "no"})

    assert frames == (error(frame, "no", "1").reply,)
    assert connection.receive_frame(later) == error(later, "unmatched topic")


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
def test_a_message_is_accepted_if_its_join_ref_is_null_or_equal(
    known: Any,
    sent: Any,
    fits: bool,
) -> None:
    push, leave = (Frame(sent, "9", "t", event, {}) for event in ("x", "phx_leave"))

    connection = joined("t", join_ref=known)

    assert connection.receive_frame(push) == (Push(push) if fits else Ignore())
    assert connection.receive_frame(leave) == (Leave(leave) if fits else Ignore())


@pytest.mark.parametrize("event", ["x", "phx_reply", "phx_close", None, ["x"], 5])
def test_a_message_to_a_topic_not_joined_is_unmatched(event: Any) -> None:
    frame = Frame("1", None, "t", event, {})

    assert joined().receive_frame(frame) == error(frame, "unmatched topic")


@pytest.mark.parametrize("topic", ["t", "nope", "phoenix"])
@pytest.mark.parametrize("join_ref", ["1", None])
def test_leaving_a_topic_that_is_not_joined_is_ok(topic: str, join_ref: Any) -> None:
    frame = Frame(join_ref, "2", topic, "phx_leave", {})

    assert joined().receive_frame(frame) == Send((ok(frame, join_ref),))


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
def test_a_channel_sends_the_join_ref_or_else_the_ref(join_ref: Any, own: Any) -> None:
    assert channel_join_ref(Frame(join_ref, "2", "t", "phx_join", {})) == own


@pytest.mark.parametrize("vsn", Vsn)
def test_a_message_is_decoded_and_gives_the_step_of_its_frame(vsn: Vsn) -> None:
    push = Frame("1", "2", "t", "x", {"a": 1})
    data = text(push) if vsn is Vsn.V2 else json.dumps(push._asdict())
    connection = joined("t", vsn=vsn)

    assert connection.receive_data(data) == Push(push)
    assert connection.decode(data) == push


def test_a_binary_message_is_a_push_with_bytes() -> None:
    data = b"\x00\x01\x01\x01\x0112tx\xff"

    assert joined("t").receive_data(data) == Push(Frame("1", "2", "t", "x", b"\xff"))


@pytest.mark.parametrize("data", ["", "no frame", "[]", b"\x00", '["1","1","t",NaN]'])
def test_a_message_that_is_not_a_frame_closes_the_socket(data: str | bytes) -> None:
    assert joined("t").receive_data(data) == CloseSocket(Close.BAD_FRAME)


def test_a_message_is_refused_if_it_is_too_large() -> None:
    frame = Frame("1", "2", "t", "x", {"a": "b" * 50})
    size = len(text(frame))

    fits = joined("t", max_message_bytes=size).receive_data(text(frame))
    refused = joined("t", max_message_bytes=size - 1).receive_data(text(frame))

    assert fits == Push(frame)
    assert refused == error(frame, "message_too_large", "1")


def test_a_message_is_refused_if_it_nests_too_deeply() -> None:
    frame = Frame("1", "2", "t", "x", {"a": [[]]})

    assert joined("t", max_message_depth=3).receive_data(text(frame)) == Push(frame)
    refused = joined("t", max_message_depth=2).receive_data(text(frame))
    assert refused == error(frame, "message_too_deep", "1")


def test_a_value_that_is_not_json_is_refused_with_an_explanation() -> None:
    frame = Frame("1", "2", "t", "x", {})

    step = joined("t").receive_data('["1","2","t","x",NaN]')

    why = "NaN and Infinity are not JSON (line 1 column 18)"
    assert step == error(frame, "invalid_payload", "1", why)


def test_a_value_that_is_not_json_closes_the_socket_if_json_is_strict() -> None:
    connection = joined("t", strict_json=True, max_message_depth=2)

    invalid = connection.receive_data('["1","2","t","x",NaN]')
    deep = connection.receive_data('["1","2","t","x",[[[]]]]')

    assert invalid == CloseSocket(Close.BAD_FRAME)
    assert deep == error(Frame("1", "2", "t", "x", {}), "message_too_deep", "1")


@pytest.mark.parametrize("topic", ["t", "u"])
def test_a_refused_second_join_replaces_the_first(topic: str) -> None:
    join = Frame("2", "2", topic, "phx_join", {"a": "b" * 99})

    step = joined("t", max_message_bytes=99).receive_data(text(join))

    assert step == error(join, "message_too_large", "2", replaces=topic == "t")


def test_a_topic_or_ref_that_is_too_long_to_be_kept_is_refused() -> None:
    long_topic = Frame("1", "1", "t" * 301, "phx_join", {})
    long_ref = Frame("1", "x" * 600, "t", "phx_join", {})

    for frame in (long_topic, long_ref):
        step = joined().receive_frame(frame)
        assert isinstance(step, Refuse)
        assert step == error(frame, "invalid_payload", "1", step.message)
        assert "at most 300 characters" in step.message
