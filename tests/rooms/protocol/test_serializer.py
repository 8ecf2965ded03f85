"""The serializers: every frame is read and written, everything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.frame import (
    BadFrame,
    Frame,
    InvalidValue,
    Vsn,
    reply,
)
from rooms.protocol.serializer import decode, encode, is_binary
from tests.rooms.protocol.test_invalid_frames import nest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | TEXT
SCALARS |= st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
FRAMES = st.builds(Frame, SCALARS, SCALARS, TEXT, TEXT, JSON)
FIELD = TEXT.filter(lambda text: len(text.encode()) <= 255)


def v2(frame: Frame) -> str:
    """A client's V2 text."""
    return json.dumps(list(frame), ensure_ascii=False, separators=(",", ":"))


def v1(frame: Frame) -> str:
    """A client's V1 text, with join_ref."""
    return json.dumps(frame._asdict(), ensure_ascii=False)


@given(FRAMES)
def test_a_v2_text_comes_back_as_its_frame(frame: Frame) -> None:
    assert decode(v2(frame), Vsn.V2) == frame


@given(FRAMES)
def test_a_v1_text_comes_back_as_its_frame(frame: Frame) -> None:
    assert decode(v1(frame), Vsn.V1) == frame
    assert decode(v1(frame).encode(), Vsn.V1) == frame


@given(FIELD, FIELD, FIELD, FIELD, st.binary(max_size=300))
def test_a_binary_push_comes_back_as_its_frame(
    join_ref: str, ref: str, topic: str, event: str, data: bytes
) -> None:
    parts = [part.encode() for part in (join_ref, ref, topic, event)]
    raw = bytes([0, *map(len, parts)]) + b"".join(parts) + data

    assert decode(raw, Vsn.V2) == Frame(join_ref, ref, topic, event, data)


@given(FRAMES)
def test_a_frame_is_written_compact_and_reads_back(frame: Frame) -> None:
    new, old = encode(frame, Vsn.V2), encode(frame, Vsn.V1)

    assert json.loads(new) == list(frame)
    members = frame._asdict()
    del members["join_ref"]
    assert json.loads(old) == members
    assert new.decode() == json.dumps(
        json.loads(new), ensure_ascii=False, separators=(",", ":")
    ) or any(isinstance(x, float) for x in _leaves(frame))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, (list, tuple)):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]


@given(st.text() | st.binary(), st.sampled_from(Vsn))
def test_no_input_raises_anything_but_bad_frame(data: str | bytes, vsn: Vsn) -> None:
    try:
        frame = decode(data, vsn)
    except BadFrame:
        return
    assert isinstance(frame, Frame)


@given(JSON, st.sampled_from(Vsn), st.integers(0, 4))
def test_no_json_raises_anything_but_bad_frame(
    value: Any, vsn: Vsn, depth: int
) -> None:
    try:
        decode(json.dumps(value), vsn, depth)
    except BadFrame:
        return


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "5",
        '"x"',
        "{}",
        "[]",
        '["1","1","t","e"]',
        '{"topic":"a"}',
        "[1,1,1,1,NaN]",
        "[1,1,1,1,Infinity]",
        "[1,1,1,1,1e400]",
        '[1,1,1,1,"\\ud800"]',
        '[1,1,1,1,"\\udc00\\ud800"]',
        '\ufeff["1","1","t","e",{}]',
        '["1","1","t","e","\x01"]',
        '["1","1","t","e",{}],',
        "['1','1','t','e',{}]",
        "[1,1,1,1,01]",
        "[1,1,1,1,{1:2}]",
        "\ud800",
    ],
)
def test_text_that_is_not_a_v2_frame_is_malformed(text: str) -> None:
    with pytest.raises(BadFrame):
        decode(text, Vsn.V2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        '["1","1","t","e",{}]',
        '{"topic":"t","event":"e","payload":{}}',
        '{"topic":"t","event":"e","ref":"1"}',
        '{"topic":"t","payload":{},"ref":"1"}',
        '{"event":"e","payload":{},"ref":"1"}',
        b"\xff\xfe",
        b"\x00\x01\x01\x01\x01abcd",
    ],
)
def test_a_message_that_is_not_a_v1_frame_is_malformed(text: str | bytes) -> None:
    with pytest.raises(BadFrame):
        decode(text, Vsn.V1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"\x00\x01\x01\x01",
        b"\x00\x01\x01\x01\x01abc",
        b"\x01\x01\x01\x01\x01abcd",
        b"\x02\x01\x01ab",
        b"\x03\x00\x00\x00\x00\x00\x00",
        b"\xff\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\x00\xff",
        b'["1","1","t","e",{}]',
    ],
)
def test_bytes_that_are_not_a_binary_push_are_malformed(raw: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(raw, Vsn.V2)


def test_more_than_five_elements_and_blanks_are_accepted() -> None:
    frame = decode(' [ "1" ,null, "t" , "e" , {"a" : 1} , 6, 7 ] \n', Vsn.V2)

    assert frame == Frame("1", None, "t", "e", {"a": 1})


def test_extra_members_of_v1_are_ignored() -> None:
    text = '{"topic":"t","event":"e","payload":{},"ref":null,"x":1}'

    assert decode(text, Vsn.V1) == Frame(None, None, "t", "e", {})


@pytest.mark.parametrize("ref", [None, "", "0", 0, 1, 1.5, True, [1], {"a": 1}])
def test_refs_of_any_type_come_back_untouched(ref: Any) -> None:
    frame = decode(v2(Frame(ref, ref, "t", "e", {})), Vsn.V2)

    assert json.loads(encode(frame, Vsn.V2))[:2] == [ref, ref]
    assert type(frame.ref) is type(ref)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"a":1,"a":2}', {"a": 1}),
        ('{"x":{"a":1,"b":3,"a":2}}', {"x": {"a": 1, "b": 3}}),
        ('{"a":"x\\":y","b":1}', {"a": 'x":y', "b": 1}),
        ("1" + "0" * 29, 10**29),
        ('{"n":-1' + "0" * 29 + "}", {"n": -(10**29)}),
        ("1e30", 1e30),
        ('"\\u0000"', "\0"),
        ("18446744073709551615", 2**64 - 1),
    ],
)  # fmt: skip
def test_json_is_read_as_phoenix_reads_it(payload: str, expected: Any) -> None:
    frame = decode(f'["1","1","t","e",{payload}]', Vsn.V2)

    assert frame.payload == expected
    assert type(frame.payload) is type(expected)


def test_integers_of_any_size_are_written_exactly() -> None:
    frame = Frame(None, None, "t", "e", {"n": 2**70})

    assert encode(frame, Vsn.V2) == b'[null,null,"t","e",{"n":1180591620717411303424}]'


def test_duplicate_keys_too_deep_for_python_are_malformed() -> None:
    with pytest.raises(BadFrame):
        decode(f'["1","1","t","e",{{"a":1,"a":{nest(990)}}}]', Vsn.V2)


def test_an_integer_longer_than_a_double_is_malformed() -> None:
    with pytest.raises(BadFrame):
        decode('["1","1","t","e",' + "9" * 5_000 + "]", Vsn.V2)


@pytest.mark.parametrize("at", range(4))
def test_the_rest_of_a_binary_header_that_is_not_utf8_is_read(at: int) -> None:
    parts = [b"j", b"1", b"t", b"e"]
    parts[at] = b"\xff"
    raw = bytes([0, 1, 1, 1, 1]) + b"".join(parts) + b"data"

    with pytest.raises(InvalidValue) as raised:
        decode(raw, Vsn.V2)

    sent = ["j", "1", "t", "e", {}]
    assert [*raised.value.frame] == [*sent[:at], "\ufffd", *sent[at + 1 :]]


@pytest.mark.parametrize("event", ["msg", "presence_diff"])
def test_only_replies_have_halves_of_surrogate_pairs(event: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode(Frame(None, None, "t", event, {"a": "\ud83d"}), Vsn.V2)


def test_a_payload_as_deep_as_allowed_is_read() -> None:
    assert decode(f'["1","1","t","e",{nest(10)}]', Vsn.V2, 10).payload


def test_deep_payloads_are_written_too() -> None:
    frame = decode(f'["1","1","t","e",{nest(400)}]', Vsn.V2)

    assert encode(frame, Vsn.V2).endswith(nest(400).encode() + b"]")


@pytest.mark.parametrize(
    ("frame", "raw"),
    [
        (Frame("12", None, "t", "ev", b"\xff"), b"\x00\x02\x01\x0212tev\xff"),
        (Frame(None, None, "t", "ev", b"\x00"), b"\x02\x01\x02tev\x00"),
        (
            reply(Frame("1", "2", "t", "", b""), "ok", b"x", "1"),
            b"\x01\x01\x01\x01\x0212tokx",
        ),
        (
            reply(Frame(None, None, "t", "", b""), "error", b"", None),
            b"\x01\x00\x00\x01\x05terror",
        ),
    ],
)
def test_binary_frames_have_phoenix_layout(frame: Frame, raw: bytes) -> None:

    assert is_binary(frame)
    assert encode(frame, Vsn.V2) == raw


def test_binary_fields_hold_255_bytes_and_no_more() -> None:
    fits = Frame(None, None, "é" * 127, "e" * 255, b"")

    assert encode(fits, Vsn.V2)[1:3] == bytes([254, 255])
    with pytest.raises(ValueError, match="255 bytes"):
        encode(fits._replace(topic="é" * 128), Vsn.V2)


def test_v1_has_no_binary_frames() -> None:
    with pytest.raises(ValueError, match="no binary frames"):
        encode(Frame(None, None, "t", "e", b""), Vsn.V1)


def test_text_replies_are_not_binary() -> None:
    assert not is_binary(reply(Frame("1", "2", "t", "e", b"x"), "ok", {}, "1"))
    assert not is_binary(Frame("1", "2", "t", "phx_reply", []))
