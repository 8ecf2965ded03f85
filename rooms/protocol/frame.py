"""Frames: messages as they are on the wire, and bad ones. Pure."""

from __future__ import annotations

import enum
from typing import Any, ClassVar, NamedTuple

from rooms.protocol.reasons import Reason

Json = Any
"""A JSON value: object, array, string, number, bool or None."""


class Vsn(enum.Enum):
    """The serializer of a connection, chosen once by the query's `vsn`."""

    V1 = "1"
    V2 = "2"


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
