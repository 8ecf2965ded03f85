"""Owns the open connections of this process, by user, and whether it drains."""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

import orjson

from beam.config.conf import conf
from beam.loops import per_loop
from rooms.auth.grants import Identity
from rooms.messaging.control_topic import CONTROL_TOPIC
from rooms.messaging.outbound import Socket
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.event import Event
from rooms.protocol.reply_delay import Streaks

DISCONNECT: Final = "disconnect"


class Closeable(Protocol):
    """An open connection."""

    identity: Identity
    address: str
    socket: Socket

    def close(self, code: Close, reason: str = "") -> None:
        """End its channels at once, and the socket by a close handshake."""


class Connections:
    """The open connections of clients. Those of admins: `rooms.messaging.observers`."""

    def __init__(self) -> None:
        self._by_user: dict[str, set[Closeable]] = {}
        self._by_address: Counter[str] = Counter()
        self._is_draining = False
        # Clients with several connections that failed soon after their start.
        self.failing = Streaks()

    @property
    def is_draining(self) -> bool:
        """Whether no more connections are accepted: the process stops."""
        return self._is_draining

    def drain(self) -> None:
        """Accept no more connections."""
        self._is_draining = True

    def __len__(self) -> int:
        return sum(map(len, self._by_user.values()))

    def add(self, connection: Closeable) -> None:
        """Add a connection."""
        self._by_user.setdefault(connection.identity.user_id, set()).add(connection)
        self._by_address[connection.address] += 1

    def discard(self, connection: Closeable) -> None:
        """Remove a connection. Does nothing if it is not there."""
        user_id = connection.identity.user_id
        mine = self._by_user.get(user_id, set())
        if connection not in mine:
            return
        mine.remove(connection)
        if not mine:
            del self._by_user[user_id]
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def has_room(self, connection: Closeable) -> bool:
        """Whether its user and its client IP may have one more connection here."""
        of_user, of_address = conf().max_user_connections, conf().max_ip_connections
        known = self._by_user.get(connection.identity.user_id, ())
        if of_user and len(known) >= of_user:
            return False
        return not of_address or self._by_address[connection.address] < of_address

    def note_failure(self, connection: Closeable, now: float) -> None:
        """Count a connection that failed soon after its start."""
        self.failing.note(_client(connection), now)

    def delay(self, connection: Closeable, now: float) -> float:
        """Seconds for which the handshake waits, as earlier connections failed."""
        return self.failing.delay(
            _client(connection), conf().failures_before_delay, now
        )

    def everyone(self) -> list[Closeable]:
        """A new list of all connections."""
        return [each for mine in self._by_user.values() for each in mine]

    def disconnect(self, delivery: Delivery) -> None:
        """Close all connections of the user that an event names."""
        user_id = orjson.loads(delivery.payload)["user_id"]
        for connection in list(self._by_user.get(user_id, ())):
            connection.close(Close.GOING_AWAY)


def _client(connection: Closeable) -> tuple[str, str]:
    """What failures are counted by: the user and the client IP."""
    return connection.identity.user_id, connection.address


def disconnect_event(user_id: str) -> Event:
    """The event that closes every connection of a user, in all processes."""
    return Event(topic=CONTROL_TOPIC, name=DISCONNECT, payload={"user_id": user_id})


@per_loop
def connections() -> Connections:
    """The open connections of the running loop."""
    return Connections()
