"""Owns the open connections of observers: admins that look at rooms, by login.

They belong to no user, are under no limit, and are not counted.
"""

from __future__ import annotations

from typing import Final

import orjson

from beam.loops import per_loop
from rooms.messaging.connections import Closeable
from rooms.messaging.control_topic import CONTROL_TOPIC
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.event import Event

LOGGED_OUT: Final = "logged_out"


class Observers:
    """The open connections of observers. A login is named by its digest."""

    def __init__(self) -> None:
        self._login_of: dict[Closeable, str] = {}

    def add(self, connection: Closeable, login: str) -> None:
        """Register a connection that was opened with a login."""
        self._login_of[connection] = login

    def discard(self, connection: Closeable) -> None:
        """Forget a connection; one that is not registered is no error."""
        self._login_of.pop(connection, None)

    def everyone(self) -> list[Closeable]:
        """All of them."""
        return list(self._login_of)

    def log_out(self, delivery: Delivery) -> None:
        """Close the connections of the login that an event names."""
        login = orjson.loads(delivery.payload)["session"]
        for connection in self.everyone():
            if self._login_of[connection] == login:
                connection.close(Close.GOING_AWAY, "session")


def logged_out_event(login: str) -> Event:
    """The event that closes every connection of a login, in all processes."""
    return Event(topic=CONTROL_TOPIC, name=LOGGED_OUT, payload={"session": login})


@per_loop
def observers() -> Observers:
    """The open connections of observers of the running loop."""
    return Observers()
