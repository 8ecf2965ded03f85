"""The output of one WebSocket: what every socket offers, on any server.

`PreparedSocket` hands finished WebSocket frames to Beam's server through the
ASGI extension `rooms.protocol.ws_frames`; `AsgiSocket` uses ordinary ASGI sends on
any other server. Both behave the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from beam.telemetry import metrics
from rooms.protocol.event import Delivery
from rooms.protocol.messages import Close, Frame, Vsn

EXTENSION = "rooms.protocol.ws_frames"

Receiver = Callable[[str | bytes], float]
"""Takes one message of the client: text as `str`, binary as `bytes`.

Returns how many seconds to read nothing more from this client; infinity:
until `FrameWriter.resume`.
"""


Ended = Callable[[str], None]
"""Hears that the connection ended, and why: in snake case."""

LOST = "lost"
CLOSED_BY_CLIENT = "closed_by_client"


class FrameWriter(Protocol):
    """What the server's extension offers a connection."""

    def listen(self, receiver: Receiver, ended: Ended) -> None:
        """Hand messages to a callback from now on, and tell the end to another.

        The application may return then: the connection outlives its task.
        """

    def write(self, data: bytes) -> bool:
        """Queue finished frames, in order; a client that does not read is closed.

        False: they were not taken, as the socket ends or has ended.
        """

    def close(self, code: int) -> None:
        """Send a close frame behind what is queued."""

    def resume(self) -> None:
        """Read again from a client whose receiver returned infinity."""

    def is_behind(self) -> bool:
        """Whether the client has more to read than `outbound_limit`."""

    def idle_for(self) -> float:
        """Seconds since the client last sent anything, pings included."""


class Socket(Protocol):
    """One WebSocket, seen from inside. Writes never raise and keep order."""

    vsn: Vsn

    def send(self, frames: Iterable[Frame]) -> None:
        """Write frames meant for this socket alone."""

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        """Write a batch of events; `joined` is their prepared form, if known."""

    def close(self, code: Close) -> None:
        """Close the socket, behind what was written."""

    def is_behind(self) -> bool:
        """Whether the client has more to read than `outbound_limit`."""

    def idle_for(self) -> float:
        """Seconds since the client last sent anything that the server saw."""

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        """Whether messages and the end are handed over; else they come by `receive`."""

    def resume(self) -> None:
        """Read again from the client: see `Receiver`."""

    async def pause(self, seconds: float) -> None:
        """Wait before the next `receive`: see `Receiver`."""


def join_prepared(batch: Sequence[Delivery], vsn: Vsn) -> bytes:
    """The finished WebSocket frames of a batch, one behind the other."""
    if vsn is Vsn.V2:
        return b"".join([delivery.prepared_v2 for delivery in batch])
    return b"".join([delivery.prepared_v1 for delivery in batch])


def count_encodable(batch: Sequence[Delivery], vsn: Vsn) -> int:
    """How many of a batch the serializer can say; the others are counted as lost."""
    if vsn is Vsn.V2:
        return len(batch)
    lost = sum(delivery.binary for delivery in batch)
    metrics.UNDELIVERABLE.value += lost
    return len(batch) - lost
