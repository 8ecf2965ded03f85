"""Encodes an event once for all its recipients: its form on the channel layer.

The publisher encodes it with serializer V2. A process that has V1 sockets derives
their bytes from that. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, Final

import orjson

from presence.state import Diff
from rooms.protocol.event import Event, presence_diff
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.json_text import dumps
from rooms.protocol.serializer import encode, is_binary
from rooms.protocol.ws_frames import prepared

MESSAGE_TYPE: Final = "beam.event"


def pack(event: Event) -> dict[str, Any]:
    """The message for the channel layer; unset fields are absent.

    Raises `ValueError` if the event cannot be encoded.
    """
    frame = Frame(None, None, event.topic, event.name, event.payload)
    message: dict[str, Any] = {
        "type": MESSAGE_TYPE,
        "topic": event.topic,
        "event": event.name,
        "data": encode(frame, Vsn.V2),
    }
    if is_binary(frame):
        message["binary"] = True
    if event.skip is not None:
        message["skip"] = event.skip
    if event.receipt is not None:
        message["receipt"] = event.receipt
    if event.to is not None:
        message["to"] = list(event.to)
    if event.without:
        message["without"] = list(event.without)
    if event.version:
        _pack_changes(event, message)
    return message


def _pack_changes(event: Event, message: dict[str, Any]) -> None:
    message["version"] = event.version
    if event.parts:
        message["parts"] = [[d.version, d.joins, d.leaves] for d in event.parts]
        message["void"] = event.void
    if event.more:
        message["more"] = True


class Delivery:
    """A packed event as a receiving process uses it: other forms are made once."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.topic: str = message["topic"]
        self.name: str = message["event"]
        self.data: bytes = message["data"]
        # When it was published, by the publisher's clock: Unix time, or not known.
        self.at: float = message.get("at", 0.0)
        self.binary: bool = message.get("binary", False)
        self.skip: str | None = message.get("skip")
        to: list[str] | None = message.get("to")
        self.to = None if to is None else frozenset(to)
        self.without: Collection[str] = message.get("without", ())
        if self.without:
            self.without = frozenset(self.without)
        self.version: int = message.get("version", 0)
        self.receipt: str | None = message.get("receipt")
        self.parts: list[list[Any]] = message.get("parts", [])
        self.void: bool = message.get("void", False)
        self.more: bool = message.get("more", False)

    def versions(self) -> list[int]:
        """The versions of the presence changes that this event reports."""
        return [part[0] for part in self.parts] or [self.version]

    def changes(self) -> list[Diff]:
        """The presence changes that this event reports, one by one."""
        if self.parts:
            return [Diff(joins, leaves, v) for v, joins, leaves in self.parts]
        payload = orjson.loads(self.payload)
        return [Diff(payload["joins"], payload["leaves"], self.version)]

    def after(self, version: int) -> Delivery | None:
        """The rest of a presence diff for a member that knows it up to a version."""
        if version < (self.parts[0][0] if self.parts else self.version):
            return None if self.void else self
        if version >= self.version:
            return None
        rest = self.with_changes([c for c in self.changes() if c.version > version])
        return None if rest is None or rest.void else rest

    def with_changes(self, changes: list[Diff]) -> Delivery | None:
        """The same presence diff with these changes instead; None: nothing is left."""
        event = presence_diff(self.topic, changes)
        return None if event is None else Delivery(pack(event))

    @cached_property
    def _head(self) -> int:
        """Where the payload begins in `data`."""
        if self.binary:
            return 3 + self.data[1] + self.data[2]
        return len(dumps([None, None, self.topic, self.name]))

    @property
    def payload(self) -> bytes:
        """The payload: JSON text, or the bytes of a binary broadcast."""
        return self.data[self._head :] if self.binary else self.data[self._head : -1]

    @cached_property
    def v1(self) -> bytes:
        """The V1 text. A binary broadcast has no V1 text: do not use this then."""
        head = dumps({"topic": self.topic, "event": self.name})
        return b'%b,"payload":%b,"ref":null}' % (head[:-1], self.payload)

    @cached_property
    def prepared_v2(self) -> bytes:
        """A finished WebSocket frame for V2 sockets."""
        return prepared(self.data, self.binary)

    @cached_property
    def prepared_v1(self) -> bytes:
        """A finished WebSocket frame for V1 sockets, empty for a binary one."""
        return b"" if self.binary else prepared(self.v1, False)

    def encoded(self, vsn: Vsn) -> bytes | None:
        """The data for a socket; None if the serializer cannot encode it."""
        if vsn is Vsn.V2:
            return self.data
        return None if self.binary else self.v1
