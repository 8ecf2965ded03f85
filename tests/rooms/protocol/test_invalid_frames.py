"""Messages that are not valid frames: what can be read of them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from rooms.protocol.frame import (
    Answerable,
    BadFrame,
    Frame,
    InvalidValue,
    TooDeep,
    Vsn,
    reply,
)
from rooms.protocol.serializer import decode, encode


def nest(depth: int) -> str:
    """Lists in lists."""
    return "[" * depth + "]" * depth


HALF = "\\ud83d"
INVALID = [
    f'{{"a":"{HALF}"}}',
    f'{{"{HALF}":1}}',
    f'{{"a":"\\ude00{HALF}"}}',
    f'{{"a":[{{"b":"x{HALF}y"}}]}}',
    f'"{HALF}"',
    "NaN",
    '{"a":NaN}',
    "[Infinity]",
    "[-Infinity]",
    "1e400",
    "-1e400",
    "9" * 400,
    "9" * 5_000,
    '"\x01"',
    '"a\tb"',
    f'{{"a":NaN,"b":{nest(5_000)}}}',
    f'{{"a":"{HALF}","a":"{HALF}"}}',
]


@pytest.mark.parametrize("depth", [11, 600, 1_500, 5_000])
@pytest.mark.parametrize("blank", ["", " "])
def test_the_envelope_of_a_v2_message_is_read_if_its_payload_is_too_deep(
    depth: int, blank: str
) -> None:
    text = f'{blank}["j",{blank}7{blank},"t:\\"é","e",{nest(depth)}]'

    with pytest.raises(TooDeep) as raised:
        decode(text, Vsn.V2, 10)

    assert raised.value.frame == Frame("j", 7, 't:"é', "e", {})


@pytest.mark.parametrize("depth", [11, 600, 1_500, 5_000])
@pytest.mark.parametrize(
    "text",
    [
        '{{"topic":"t:]\\"","event":"e","ref":7,"payload":{0}}}',
        '{{"topic":"t:]\\"","event":"e","payload":{0},"ref":7}}',
        ' {{ "payload" : {0} , "event" : "e" , "topic" : "t:]\\"" , "ref" : 7 }} ',
        '{{"event":"e","payload":{{"x":{0}}},"ref":7,"topic":"t:]\\"","ref":8}}',
    ],
)
def test_the_envelope_of_a_v1_message_is_read_if_its_payload_is_too_deep(
    text: str, depth: int
) -> None:
    with pytest.raises(TooDeep) as raised:
        decode(text.format(nest(depth)), Vsn.V1, 10)

    assert raised.value.frame == Frame(None, 7, 't:]"', "e", {})


@pytest.mark.parametrize("payload", INVALID)
def test_the_envelope_is_read_if_the_payload_is_not_json(payload: str) -> None:
    new = f'["j",7,"t:\\"é","e",{payload}]'
    old = f'{{"topic":"t:\\"é","event":"e","payload":{payload},"ref":7,"join_ref":"j"}}'
    for data, vsn in ((new, Vsn.V2), (old, Vsn.V1), (old.encode(), Vsn.V1)):
        with pytest.raises(InvalidValue) as raised:
            decode(data, vsn)

        assert raised.value.frame == Frame("j", 7, 't:"é', "e", {})


@pytest.mark.parametrize(
    ("text", "envelope"),
    [
        ('\ufeff["j","1","t","e",{}]', ("j", "1", "t", "e")),
        (f'["{HALF}","1","t","e",{{}}]', ("\ud83d", "1", "t", "e")),
        (f'["j","{HALF}","t","e",{{}}]', ("j", "\ud83d", "t", "e")),
        (f'["j","1","t{HALF}","e",{{}}]', ("j", "1", "t\ud83d", "e")),
        (f'["j","1","t","e{HALF}",{{}}]', ("j", "1", "t", "e\ud83d")),
        ('["j",NaN,"t","e",{}]', ("j", None, "t", "e")),
        ('["j",1e999,"t","e",{}]', ("j", None, "t", "e")),
        ("[NaN," + "9" * 5_000 + ',"t","e",{}]', (None, None, "t", "e")),
        (f'[null,{2**80},"t","e",NaN]', (None, 2**80, "t", "e")),
        (f'["{HALF}","1","t","e",{nest(5_000)}]', ("\ud83d", "1", "t", "e")),
    ],
)
def test_a_reply_repeats_an_envelope_that_is_not_json(
    text: str, envelope: tuple[Any, ...]
) -> None:
    with pytest.raises(Answerable) as raised:
        decode(text, Vsn.V2)
    frame = raised.value.frame

    assert frame[:4] == envelope
    answer = reply(frame, "error", {"reason": "invalid_payload"}, frame.join_ref)
    for vsn in Vsn:
        written = encode(answer, vsn)
        # Valid UTF-8, and a client gets back what it sent.
        read = json.loads(written.decode())
        refs = read[:3] if vsn is Vsn.V2 else [envelope[0], read["ref"], read["topic"]]
        assert tuple(refs) == envelope[:3]


@pytest.mark.parametrize(
    "text",
    [
        '["j","1","t","e",{"a":NaN]',
        '["j","1","t","e",NaN',
        '["j","1","t","e"] NaN',
        '["j","1","t",NaN]',
        '[["j"],"1","t","e",NaN]',
        '\ufeff\ufeff["j","1","t","e",1]',
        '{"topic":"t","event":"e","payload":NaN}',
        '["j","1","t","e",nan]',
    ],
)
@pytest.mark.parametrize("vsn", Vsn)
def test_a_message_without_a_readable_envelope_is_malformed(
    text: str, vsn: Vsn
) -> None:
    with pytest.raises(BadFrame) as raised:
        decode(text, vsn)

    assert not isinstance(raised.value, Answerable)


@pytest.mark.parametrize(
    "text",
    [
        '["' + "],\\" * 100_000,
        "[" * 300_000 + '],"' * 100_000,
        '{"a":' * 200_000,
        '{"a":1,' * 140_000,
        "]," * 500_000,
        '{"payload":[' + "]" * 999_000,
        "[" + '"a":1,' * 160_000 + nest(2_000),
        '{"topic":' + nest(100_000) + ',"a":1' * 100_000,
    ],
)
def test_the_slow_path_takes_linear_time(text: str) -> None:
    began = time.process_time()
    for vsn in Vsn:
        with pytest.raises(BadFrame):
            decode(text, vsn)

    # Milliseconds; what is quadratic takes minutes.
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        f'{{"topic":{nest(5_000)},"event":"e","ref":"1","payload":1}}',
        f'{{"topic":"t","event":"e","payload":{nest(5_000)}}}',
        f'{{"topic":"t","event":"e","ref":"1","payload":{nest(5_000)},}}',
        f'[{nest(5_000)},"1","t","e",1]',
        f'[{nest(20)},"1","t","e",1]',
        f'["1","1",{nest(20)}]',
        nest(5_000),
    ],
)
@pytest.mark.parametrize("vsn", Vsn)
def test_a_message_with_a_deep_envelope_is_malformed(text: str, vsn: Vsn) -> None:
    with pytest.raises(BadFrame) as raised:
        decode(text, vsn, 10)

    assert type(raised.value) is BadFrame
