"""Owns the reading of ordinary WebSocket frames that a client sends. Pure.

Nearly all that browsers send are whole messages in one masked frame (RFC 6455
section 5.2). Those are read here, a chunk at a time; everything else, from a
ping to a protocol error, is left to the WebSocket library.
"""

from __future__ import annotations

from typing import Final

TEXT: Final = 0x81
BINARY: Final = 0x82
_MASKED: Final = 0x80
_EXTENDED: Final = 126


def messages(data: bytes, limit: int, most: int) -> tuple[list[str | bytes], int]:
    """The whole messages at the head of what came in, and where the rest begins.

    Text as `str`, binary as `bytes`. Stops after `most`, and before a frame
    that is not complete, fragmented, a control frame, over `limit` bytes, not
    masked, or no UTF-8.
    """
    found: list[str | bytes] = []
    at, end = 0, len(data)
    while end - at >= 6 and len(found) < most:
        kind, size, head = data[at], data[at + 1], at + 2
        if (kind != TEXT and kind != BINARY) or size < _MASKED:
            break
        size -= _MASKED
        if size == _EXTENDED:
            size, head = (data[head] << 8) + data[head + 1], head + 2
        elif size > _EXTENDED:
            break
        body = head + 4
        if body + size > end or size > limit:
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
    return found, at


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Exclusive or of two long integers: one operation, not one a byte."""
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "little")
    plain = int.from_bytes(payload, "little") ^ key
    return plain.to_bytes(size, "little")
