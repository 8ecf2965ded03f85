"""Frames, and every word that a client can receive: reasons and close codes. Pure."""

from __future__ import annotations

import enum
from typing import Any, ClassVar, NamedTuple

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

    phoenix.js up to 1.8.15 reconnects after every code but 1000, so Beam never
    sends 1000 first. Each has a row in `docs/protocol.md`.
    """

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_UTF8 = 1007
    TOO_BIG = 1009
    BAD_FRAME = 1011
    RESTART = 1012
    SLOW_CONSUMER = 1013


class Frame(NamedTuple):
    """One message on the wire. Refs are any JSON value that the client sent.

    `payload` is JSON, or `bytes` for a V2 binary frame.
    """

    join_ref: Json
    ref: Json
    topic: Json
    event: Json
    payload: Json


class BadFrame(ValueError):
    """The bytes are not a frame. The whole socket is closed with 1011."""


class Answerable(BadFrame):
    """A bad message whose envelope could be read: it is refused, the socket stays open.

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


def reply(to: Frame, status: str, response: Json, join_ref: Json) -> Frame:
    """The answer to a frame: `phx_reply` with its ref."""
    body = {"status": status, "response": response}
    return Frame(join_ref, to.ref, to.topic, "phx_reply", body)
