"""Ordinary frames of clients are read; others are left to the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.ws_frames import prepared, read

LIMIT = 100_000
MOST = 64


def masked(
    data: str | bytes, mask: bytes = b"\x01\x02\x03\x04", first: int = 0
) -> bytes:
    """A message as a browser sends it (RFC 6455 section 5.3)."""
    first = first or (0x81 if isinstance(data, str) else 0x82)
    payload = data.encode() if isinstance(data, str) else data
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return head + mask + body


Message = st.text(max_size=300) | st.binary(max_size=300)


@given(st.lists(Message, max_size=5), st.binary(min_size=4, max_size=4))
def test_whole_messages_are_read_in_order(sent: list[str | bytes], mask: bytes) -> None:
    data = b"".join(masked(message, mask) for message in sent)

    assert read(data, LIMIT, MOST) == (sent, len(data), False)


@given(st.lists(Message, min_size=1, max_size=4), st.data())
def test_what_is_cut_off_is_left(sent: list[str | bytes], draw: st.DataObject) -> None:
    frames = [masked(message) for message in sent]
    data = b"".join(frames)
    cut = draw.draw(st.integers(0, len(data) - 1))

    found, at, begun = read(data[:cut], LIMIT, MOST)

    assert found == sent[: len(found)]
    assert at == sum(map(len, frames[: len(found)])) <= cut
    assert cut < at + len(frames[len(found)])
    # The library would have to read all of the next chunk too.
    assert begun == (cut > at)


@pytest.mark.parametrize(
    "frame",
    [
        masked("{}", first=0x01),
        masked("{}", first=0x80),
        masked("{}", first=0xC1),
        masked("", first=0x88),
        masked("ping", first=0x89),
        b"\x81\x02{}" + b"unmasked",
        masked(b"\xff\xfe", first=0x81),
        masked("x" * 70_000),
        masked("x" * 101),
    ],
    ids=[
        "first fragment",
        "last fragment",
        "compressed",
        "close",
        "ping",
        "not masked",
        "no UTF-8",
        "long",
        "over the limit",
    ],
)
def test_other_frames_are_left_to_the_library(frame: bytes) -> None:
    before = masked("first")

    data = before + frame + masked("last")

    assert read(data, 100, MOST) == (["first"], len(before), False)


def test_no_more_messages_are_read_than_requested() -> None:
    frames = [masked(str(number)) for number in range(5)]

    got = read(b"".join(frames), LIMIT, 2)

    assert got == (["0", "1"], len(frames[0] + frames[1]), False)


@given(st.binary(max_size=300), st.booleans())
def test_a_prepared_frame_is_one_whole_websocket_frame(
    data: bytes,
    binary: bool,
) -> None:
    assert _unframe(prepared(data, binary)) == (2 if binary else 1, data)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 70_000])
def test_every_length_form_is_written(size: int) -> None:
    assert _unframe(prepared(b"x" * size, False)) == (1, b"x" * size)


def _unframe(raw: bytes) -> tuple[int, bytes]:
    """Opcode and payload of one unmasked final frame (RFC 6455 section 5.2)."""
    assert raw[0] & 0xF0 == 0x80
    size, at = raw[1], 2
    if size in (126, 127):
        at = 4 if size == 126 else 10
        size = int.from_bytes(raw[2:at], "big")
    assert len(raw) == at + size
    return raw[0] & 0x0F, raw[at:]
