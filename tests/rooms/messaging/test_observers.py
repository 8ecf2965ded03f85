"""The connections of observers."""

from __future__ import annotations

from rooms.auth.grants import Identity
from rooms.messaging.observers import Observers, logged_out_event
from rooms.messaging.outbound import Socket
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.frame import Vsn
from tests.fakes import FakeSocket


class FakeConnection:
    """An open connection that records how it is closed."""

    def __init__(self) -> None:
        self.identity = Identity("admin:root")
        self.address = "127.0.0.1"
        self.socket: Socket = FakeSocket(Vsn.V2)
        self.closed: list[tuple[Close, str]] = []

    def close(self, code: Close, reason: str = "") -> None:
        self.closed.append((code, reason))


def test_a_logout_closes_the_connections_of_that_login() -> None:
    observers, one, other = Observers(), FakeConnection(), FakeConnection()
    observers.add(one, "one")
    observers.add(other, "other")

    observers.log_out(Delivery(pack(logged_out_event("one"))))

    assert one.closed == [(Close.GOING_AWAY, "session")]
    assert other.closed == []


def test_a_connection_that_ended_is_forgotten() -> None:
    observers, connection = Observers(), FakeConnection()
    observers.add(connection, "one")
    assert observers.everyone() == [connection]

    observers.discard(connection)
    observers.discard(connection)

    assert observers.everyone() == []
