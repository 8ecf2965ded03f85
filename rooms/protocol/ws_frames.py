"""Reads the ordinary WebSocket frames of clients, and writes those of the server.

Nearly all messages of browsers are whole in one masked frame (RFC 6455 section
5.2). Those are read here, a chunk at a time; everything else, from a ping to a
protocol error, is left to the WebSocket library. Pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

TEXT: Final = 0x81
BINARY: Final = 0x82
_MASKED: Final = 0x80
_EXTENDED: Final = 126


class Read(NamedTuple):
    """The whole messages at the beginning of a chunk.

    `messages`: text as `str`, binary as `bytes`. `at`: where the rest begins.
    `is_begun`: the rest is the beginning of another ordinary message.
    """

    messages: list[str | bytes]
    at: int
    is_begun: bool


def read(data: bytes, limit: int, most: int) -> Read:  # noqa: C901 - no call a message
    """The whole messages at the beginning of a chunk.

    Stops after `most`, and before a frame that is not complete, fragmented, a
    control frame, over `limit` bytes, not masked, or not UTF-8.
    """
    found: list[str | bytes] = []
    at, end, begun = 0, len(data), False
    while len(found) < most and at < end:
        kind = data[at]
        if kind != TEXT and kind != BINARY:
            break
        if end - at == 1:
            begun = True
            break
        size, head = data[at + 1] - _MASKED, at + 2
        if size < 0:
            break
        if size == _EXTENDED:
            if end - head < 2:
                begun = True
                break
            size, head = (data[head] << 8) + data[head + 1], head + 2
        elif size > _EXTENDED:
            break
        body = head + 4
        if size > limit or body + size > end:
            begun = size <= limit
            break
        payload = _unmasked(data[body : body + size], data[head:body])
        if kind == TEXT:
            try:
                found.append(payload.decode())
            except UnicodeDecodeError:
                break
        else:
            found.append(payload)
        at = body + size
    return Read(found, at, begun)


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Exclusive or of two long integers: one operation, not one per byte."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    plain = int.from_bytes(payload, "little") ^ key
    return plain.to_bytes(size, "little")


def prepared(data: bytes, binary: bool) -> bytes:
    """A finished server-to-client WebSocket frame (RFC 6455 section 5.2).

    Unmasked, uncompressed, unfragmented: the same bytes for every recipient.
    """
    first, size = b"\x82" if binary else b"\x81", len(data)
    if size < 126:
        return first + bytes((size,)) + data
    if size < 65_536:
        return first + b"\x7e" + size.to_bytes(2, "big") + data
    return first + b"\x7f" + size.to_bytes(8, "big") + data
