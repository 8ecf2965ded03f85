"""The output of one WebSocket: what every socket offers, on any server.

`PreparedSocket` hands finished WebSocket frames to Beam's server through the
ASGI extension `rooms.protocol.ws_frames`; `AsgiSocket` uses ordinary ASGI sends on
any other server. Both behave the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from beam.telemetry import metrics
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.frame import Frame, Vsn

EXTENSION = "rooms.protocol.ws_frames"

Receiver = Callable[[str | bytes], float]
"""Receives one message of the client: text as `str`, binary as `bytes`.

Returns for how many seconds the server must not read from this client; infinity:
until `FrameWriter.resume`.
"""


Ended = Callable[[str], None]
"""Called when the connection ends, with the reason in snake case.

It may be called again: only the first reason counts.
"""

LOST = "lost"
CLOSED_BY_CLIENT = "closed_by_client"


class FrameWriter(Protocol):
    """What Beam's server offers a connection, as an extension of ASGI."""

    def listen(self, receiver: Receiver, ended: Ended) -> None:
        """Call `receiver` with each message from now on, and `ended` at the end.

        The application may return after this: the connection outlives its task.
        """

    def write(self, data: bytes) -> bool:
        """Queue finished frames, in order; a slow client is closed.

        False: they were dropped, as the socket is closing or closed.
        """

    def close(self, code: int) -> None:
        """Send a close frame after all queued frames."""

    def resume(self) -> None:
        """Read again from a client whose receiver returned infinity."""

    def is_behind(self) -> bool:
        """Whether more bytes than `outbound_limit` wait for the client."""

    def idle_for(self) -> float:
        """Seconds since the client last sent anything, pings included."""


class Socket(Protocol):
    """One WebSocket. Writes never raise, and keep their order."""

    vsn: Vsn

    def send(self, frames: Iterable[Frame]) -> None:
        """Write frames that are for this socket only."""

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        """Write events. `joined`: all their prepared frames, if known."""

    def close(self, code: Close) -> None:
        """Close the socket after all that was written."""

    def is_behind(self) -> bool:
        """Whether more bytes than `outbound_limit` wait for the client."""

    def idle_for(self) -> float:
        """Seconds since the server last received anything from the client."""

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        """Whether the callbacks are used; if not, messages come by ASGI's `receive`."""

    def resume(self) -> None:
        """Read from the client again: see `Receiver`."""

    async def pause(self, seconds: float) -> None:
        """Wait before the next `receive`: see `Receiver`."""


def join_prepared(batch: Sequence[Delivery], vsn: Vsn) -> bytes:
    """The finished WebSocket frames of all events, joined."""
    if vsn is Vsn.V2:
        return b"".join([delivery.prepared_v2 for delivery in batch])
    return b"".join([delivery.prepared_v1 for delivery in batch])


def count_encodable(batch: Sequence[Delivery], vsn: Vsn) -> int:
    """How many events the serializer can encode; counts the others as lost."""
    if vsn is Vsn.V2:
        return len(batch)
    lost = sum(delivery.binary for delivery in batch)
    metrics.UNDELIVERABLE.value += lost
    return len(batch) - lost
