"""What a channel needs of the connection that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from presence.state import State
from rooms.auth.grants import Identity
from rooms.messaging.channel_queue import Message
from rooms.messaging.outbound import Socket
from rooms.protocol.frame import Frame

if TYPE_CHECKING:
    from rooms.channels.channel import Channel


class ConnectionInterface(Protocol):
    """The connection of a channel.

    `params`, `auth_token`: of its connect request. `departed`: the presence, by
    topic, with which it left rooms.
    """

    socket: Socket
    identity: Identity
    params: dict[str, Any]
    auth_token: str | None
    departed: dict[str, State]

    def ended(self, channel: Channel) -> None:
        """The channel stopped in order: send `phx_close`, forget it."""

    def crashed(self, channel: Channel, error: Exception) -> None:
        """The channel raised: send `phx_error`, forget it."""

    def overflowed(self, channel: Channel) -> None:
        """Too much waits in the channel: send `phx_error`, forget it."""

    def decode(self, data: Message) -> Frame:
        """A message as a frame; it was accepted before."""

    def add_waiting(self, size: int) -> None:
        """So many more bytes of the client wait, or so many fewer (below 0)."""
