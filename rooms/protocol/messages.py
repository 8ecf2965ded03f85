"""Owns the wire: bytes to `Frame` and back, and every word a client can see.

Phoenix Channels serializers V1 (JSON objects) and V2 (JSON arrays, binary
frames). Pure: no clock, no network, no framework.
"""

from __future__ import annotations

import enum
import json
import math
import re
from typing import Any, ClassVar, Final, NamedTuple

import orjson

Json = Any
"""A JSON value: object, array, string, number, bool or None."""


class Vsn(enum.Enum):
    """The serializer of a connection, chosen once by the query's `vsn`."""

    V1 = "1"
    V2 = "2"


class Reason(enum.StrEnum):
    """Why a request was refused: `response.reason` of an error reply.

    The first three are Phoenix's own words. Each has a row in
    `docs/protocol.md`.
    """

    UNMATCHED_TOPIC = "unmatched topic"
    JOIN_CRASHED = "join crashed"
    TOO_MANY_CHANNELS = "too many channels joined"
    UNAUTHORIZED = "unauthorized"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    INVALID_PAYLOAD = "invalid_payload"
    INVALID_ROOM_ID = "invalid_room_id"
    RESERVED_EVENT = "reserved_event"
    MESSAGE_TOO_LARGE = "message_too_large"
    MESSAGE_TOO_DEEP = "message_too_deep"
    SHUTTING_DOWN = "shutting_down"
    ROOM_CLOSED = "room_closed"
    ROOM_FULL = "room_full"
    TOO_MANY_SESSIONS = "too_many_sessions"
    PRESENCE_FULL = "presence_full"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate_limited"


class Close(enum.IntEnum):
    """WebSocket close codes that Beam sends (RFC 6455 section 7.4).

    phoenix.js up to 1.8.15 stays away only after 1000, so Beam never sends it
    of its own accord. Each has a row in `docs/protocol.md`.
    """

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_UTF8 = 1007
    TOO_BIG = 1009
    BAD_FRAME = 1011
    RESTART = 1012
    SLOW_CONSUMER = 1013


class Frame(NamedTuple):
    """One message on the wire. Refs are whatever JSON value the client sent.

    `payload` is JSON, or `bytes` for a V2 binary frame.
    """

    join_ref: Json
    ref: Json
    topic: Json
    event: Json
    payload: Json


class BadFrame(ValueError):
    """The bytes are not a frame. The whole socket is closed with 1011."""


class NotJson(BadFrame):
    """The text is not JSON (RFC 8259); the message says why."""


class Nested(BadFrame):
    """The JSON nests deeper than allowed."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


class Answerable(BadFrame):
    """A bad message whose envelope could be read: it is refused, the socket lives.

    `frame` has an empty payload. Its refs, topic and event may have lone
    surrogates: `encode` writes them only in replies.
    """

    reason: ClassVar[Reason]

    def __init__(self, frame: Frame, message: str) -> None:
        super().__init__(message)
        self.frame = frame


class TooDeep(Answerable):
    """The payload nests deeper than allowed."""

    reason = Reason.MESSAGE_TOO_DEEP


class InvalidValue(Answerable):
    """A value is not valid JSON: half a surrogate pair, NaN, 1e400, and so on."""

    reason = Reason.INVALID_PAYLOAD


PUSH: Final = 0
REPLY: Final = 1
BROADCAST: Final = 2

# orjson reads 1,024 levels. Frames themselves are one level.
DEEPEST: Final = 1_000
_V1_KEYS: Final = ("topic", "event", "payload", "ref")


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
    if any(key not in parts for key in _V1_KEYS):
        raise BadFrame("a V1 frame has topic, event, payload and ref")
    topic, event, payload, ref = (parts[key] for key in _V1_KEYS)
    return Frame(parts.get("join_ref"), ref, topic, event, payload)


def loads(data: str | bytes, max_depth: int = DEEPEST) -> Json:
    """Any JSON text, by the book: first of duplicate keys, exact integers.

    Raises `NotJson` and `Nested`, which are `BadFrame`.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise Nested from None
        raise NotJson(_explain(error)) from None
    keys, depth, exact = _flat(value) or _census(value)
    if depth > max_depth:
        raise Nested
    if not exact or keys != _pairs(data):
        return _loads_exactly(data)
    return value


# What orjson's messages contain, and what a developer should read.
_EXPLAINED: Final = (
    ("not valid UTF-8", "it is not valid UTF-8"),
    ("BOM", "it begins with a byte order mark"),
    ("surrogate", "a string has half of a surrogate pair"),
    ("infinity", "a number is too large for a double"),
    ("control character", "a string has a control character that is not escaped"),
)


def _explain(error: orjson.JSONDecodeError) -> str:
    if error.doc.startswith(("NaN", "Infinity"), error.pos):
        text = "NaN and Infinity are not JSON"
    else:
        found = (text for part, text in _EXPLAINED if part in error.msg)
        text = next(found, error.msg)
    return f"{text} (line {error.lineno} column {error.colno})"


_SIMPLE: Final = frozenset({str, bool, int, type(None)})


def _flat(value: Json) -> tuple[int, int, bool] | None:
    """The census of an ordinary V2 frame: scalars, and an object of scalars."""
    if type(value) is not list or len(value) != 5 or type(value[4]) is not dict:
        return None
    body: dict[str, Json] = value[4]
    if not _SIMPLE.issuperset(map(type, body.values())):
        return None
    if not _SIMPLE.issuperset(map(type, value[:4])):
        return None
    return len(body), 2, True


def _census(value: Json) -> tuple[int, int, bool]:
    """Keys, levels, and whether orjson kept every integer exact."""
    keys, depth, exact, level = 0, 0, True, [value]
    while level:
        below: list[Json] = []
        nested = False
        for item in level:
            kind = type(item)
            if kind is dict:
                nested = True
                keys += len(item)
                below.extend(item.values())
            elif kind is list:
                nested = True
                below.extend(item)
            elif kind is float and not -1e15 < item < 1e15:
                exact = False
        depth += nested
        level = below
    return keys, depth, exact


def _pairs(data: str | bytes) -> int:
    """How many members the text seems to have; more where a string holds `":`."""
    return data.count('":') if isinstance(data, str) else data.count(b'":')


def _loads_exactly(data: str | bytes) -> Json:
    """The slow path: first of duplicate keys, integers of any size.

    orjson has accepted the text, so it is valid JSON of a bounded depth.
    """
    try:
        return json.loads(data, object_pairs_hook=_first_wins)
    except RecursionError:
        raise Nested from None


def _first_wins(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    return dict(reversed(pairs)) if len(dict(pairs)) < len(pairs) else dict(pairs)


def envelope(data: str | bytes, vsn: Vsn) -> Frame:
    """What can be read of a bad frame: all but its payload, which is empty.

    For the answer to a message that cannot be used. Reads more than JSON: lone
    surrogates, NaN, a byte order mark. Raises `BadFrame` if that is not enough.
    """
    text = data if isinstance(data, str) else data.decode(errors="replace")
    text = text.removeprefix("\ufeff")
    try:
        value = _LENIENT.decode(text)
    except RecursionError:
        value = _outline(text, vsn)
    except ValueError:
        raise BadFrame("not JSON") from None
    if vsn is Vsn.V2:
        # The payload has to be there, whatever it is.
        parts = value[:4] if type(value) is list and len(value) > 4 else ()
    else:
        is_whole = type(value) is dict and all(key in value for key in _V1_KEYS)
        parts = [value.get(key) for key in _V1_ENVELOPE] if is_whole else ()
    if not parts or any(type(part) in (list, dict) for part in parts):
        raise BadFrame("the frame cannot be read")
    return Frame._make([*map(_sayable, parts), {}])


_V1_ENVELOPE: Final = ("join_ref", "ref", "topic", "event")
# What Python refuses to read as an integer, and no double holds, is infinity.
_LONGEST_INTEGER: Final = 4_000


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else math.inf


_LENIENT: Final = json.JSONDecoder(
    strict=False, parse_int=_integer, object_pairs_hook=_first_wins
)


def _sayable(part: Json) -> Json:
    """A part of an envelope as it is written in the answer: infinity is null."""
    return None if type(part) is float and not math.isfinite(part) else part


# Possessive, so that no input takes more than linear time.
_STRING: Final = r'"(?:[^"\\]|\\.)*+"'
_SCALAR: Final = rf"(?:{_STRING}|[-+.\w]++)"
_PAIR: Final = rf"\s*+{_STRING}\s*+:\s*+{_SCALAR}\s*+"
_V2_HEAD: Final = re.compile(rf"\s*+\[((?:\s*+{_SCALAR}\s*+,){{3}}\s*+{_SCALAR}\s*+),")
_V1_HEAD: Final = re.compile(rf"\s*+\{{((?:{_PAIR},)*+)\s*+{_STRING}\s*+:\s*+[\[{{]")
_V1_TAIL: Final = re.compile(rf"[\]}}]\s*+((?:,{_PAIR})*+)\}}\s*+\Z")


def _outline(text: str, vsn: Vsn) -> Json:
    """A frame that nests too deeply to be parsed, with null as its payload.

    The scalars before the payload and, with V1, behind it.
    """
    try:
        if vsn is Vsn.V2:
            head = _V2_HEAD.match(text)
            return head and _LENIENT.decode(f"[{head[1]},null]")
        head, tail = _V1_HEAD.match(text), _V1_TAIL.search(text)
        pairs = f'{head[1]}"payload":null{tail[1]}' if head and tail else ""
        return _LENIENT.decode(f"{{{pairs}}}")
    except ValueError:
        return None


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


def dumps(value: Json, errors: str = "strict") -> bytes:
    """Compact UTF-8 JSON: the Kotlin client cuts frames at `,` and `"`.

    `errors`: what becomes of lone surrogates; `ESCAPED` writes them as JSON does.
    Raises `TypeError` or `ValueError` for what JSON cannot say.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        # Over 254 levels, integers over 64 bits, or lone surrogates.
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode(errors=errors)


# Python writes `\ud83d` for it, which is what JSON has, too.
ESCAPED: Final = "backslashreplace"


class RawJson(bytes):
    """A payload that is JSON text already: many frames share it."""

    __slots__ = ()


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


def reply(to: Frame, status: str, response: Json, join_ref: Json) -> Frame:
    """The answer to a frame: `phx_reply` with its ref."""
    body = {"status": status, "response": response}
    return Frame(join_ref, to.ref, to.topic, "phx_reply", body)


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


RESERVED: Final = frozenset(
    {
        "presence_state",
        "presence_diff",
        "presence_update",
        "access_token",
        "token_expired",
    }
)


PREFIXES: Final = ("phx_", "chan_reply", "beam_")
RESERVED_RULE: Final = (
    f"names that begin with {', '.join(PREFIXES[:-1])} or {PREFIXES[-1]}, in lower or "
    f"upper case, and {', '.join(sorted(RESERVED))} are reserved"
)
# Some clients ignore case, and one cuts a name at its first comma.
_RESERVED: Final = re.compile(
    rf"\s*(?:{'|'.join(PREFIXES)}|(?:{'|'.join(RESERVED)})(?![\w.:/-]))",
    re.IGNORECASE,
)


def is_reserved(event: str) -> bool:
    """Whether neither clients nor backends may send this event name.

    Phoenix's own names, presence, `beam_` for Beam's own events, and
    `chan_reply_<ref>`, as which clients dispatch replies to themselves.
    """
    return _RESERVED.match(event) is not None


_PHOENIX: Final = tuple(prefix for prefix in PREFIXES if prefix != "beam_")


def is_of_phoenix(event: str) -> bool:
    """Whether clients take an event of this name for a reply, a close or an error.

    No channel may push it: it would end the channel, or answer a message.
    """
    return event.lower().startswith(_PHOENIX)
