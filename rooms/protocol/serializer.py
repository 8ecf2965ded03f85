"""Frames to WebSocket messages and back: Phoenix Channels serializers V1 and V2.

V1 is JSON objects; V2 is JSON arrays and binary frames. Pure.
"""

from __future__ import annotations

from typing import Final

from rooms.protocol.frame import BadFrame, Frame, InvalidValue, Json, TooDeep, Vsn
from rooms.protocol.invalid_frames import V1_KEYS, envelope
from rooms.protocol.json_text import (
    DEEPEST,
    ESCAPED,
    Nested,
    NotJson,
    RawJson,
    dumps,
    loads,
)

PUSH: Final = 0
REPLY: Final = 1
BROADCAST: Final = 2


def decode(data: str | bytes, vsn: Vsn, max_depth: int = DEEPEST) -> Frame:
    """One WebSocket message as a `Frame`.

    `bytes` are a binary message, `str` a text message. A V1 socket reads both
    as JSON, as Phoenix does. On duplicate keys the first counts, as in
    Phoenix; integers of any size stay exact.

    Raises `BadFrame` for anything else; `Answerable`, a kind of it, if the
    envelope can be read.
    """
    try:
        if vsn is Vsn.V1:
            return _v1(data, max_depth)
        return _decode_binary(data) if type(data) is bytes else _v2(data, max_depth)
    except Nested as error:
        raise TooDeep(envelope(data, vsn), str(error)) from None
    except NotJson as error:
        raise InvalidValue(envelope(data, vsn), str(error)) from None


def _v2(text: str | bytes, max_depth: int) -> Frame:
    parts = loads(text, max_depth + 1)
    if type(parts) is not list or len(parts) < 5:
        raise BadFrame("a V2 frame is an array of five")
    return Frame._make(parts[:5])


def _v1(data: str | bytes, max_depth: int) -> Frame:
    parts = loads(data, max_depth + 1)
    if type(parts) is not dict:
        raise BadFrame("a V1 frame is an object")
    if any(key not in parts for key in V1_KEYS):
        raise BadFrame("a V1 frame has topic, event, payload and ref")
    topic, event, payload, ref = (parts[key] for key in V1_KEYS)
    return Frame(parts.get("join_ref"), ref, topic, event, payload)


def _decode_binary(data: bytes) -> Frame:
    """A client's push, kind 0: five size bytes, four strings, the data."""
    if len(data) < 5 or data[0] != PUSH:
        raise BadFrame("only pushes (kind 0) come from a client")
    sizes, at = data[1:5], 5
    parts: list[bytes] = []
    if len(data) < 5 + sum(sizes):
        raise BadFrame("truncated binary frame")
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    try:
        return Frame._make([*map(bytes.decode, parts), data[at:]])
    except UnicodeDecodeError:
        fields = [part.decode(errors="replace") for part in parts]
        message = "the header of a binary frame is UTF-8"
        raise InvalidValue(Frame._make([*fields, {}]), message) from None


def encode(frame: Frame, vsn: Vsn) -> bytes:
    """A server's frame in the connection's serializer, as UTF-8 or binary.

    Binary exactly if `is_binary(frame)`. A reply may have lone surrogates, as
    it repeats what its client sent. Raises `ValueError` for what cannot be
    encoded: binary to V1, or a binary header over 255 bytes.
    """
    if is_binary(frame):
        return _encode_binary(frame, vsn)
    if type(frame.payload) is RawJson:
        return _encode_raw(frame, vsn)
    whole: Json
    if vsn is Vsn.V2:
        # orjson knows tuples, not their subclasses.
        whole = tuple(frame)
    else:
        topic, event, payload = frame.topic, frame.event, frame.payload
        whole = {"topic": topic, "event": event, "payload": payload, "ref": frame.ref}
    try:
        return dumps(whole)
    except UnicodeEncodeError:
        if frame.event != "phx_reply":
            raise
        return dumps(whole, ESCAPED)


def _encode_raw(frame: Frame, vsn: Vsn) -> bytes:
    join_ref, ref, topic, event, payload = frame
    if vsn is Vsn.V2:
        return b"%b,%b]" % (dumps((join_ref, ref, topic, event))[:-1], payload)
    head = dumps({"topic": topic, "event": event})[:-1]
    return b'%b,"payload":%b,"ref":%b}' % (head, payload, dumps(ref))


def is_binary(frame: Frame) -> bool:
    """Whether the frame travels as a binary message."""
    payload = frame.payload
    if type(payload) is dict and frame.event == "phx_reply":
        payload = payload.get("response")
    return type(payload) is bytes


def _encode_binary(frame: Frame, vsn: Vsn) -> bytes:
    if vsn is Vsn.V1:
        raise ValueError("serializer V1 has no binary frames")
    join_ref, ref, topic, event, payload = frame
    fields: tuple[Json, ...]
    if event == "phx_reply":
        fields, kind = (join_ref, ref, topic, payload["status"]), REPLY
        payload = payload["response"]
    elif join_ref is None:
        fields, kind = (topic, event), BROADCAST
    else:
        fields, kind = (join_ref, topic, event), PUSH
    parts = [b"" if field is None else str(field).encode() for field in fields]
    if any(len(part) > 255 for part in parts):
        raise ValueError("a field of a binary frame has at most 255 bytes")
    return b"".join((bytes((kind, *map(len, parts))), *parts, payload))
