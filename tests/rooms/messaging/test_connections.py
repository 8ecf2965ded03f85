"""The open connections of a process: limits, and closing by user."""

from __future__ import annotations

from typing import cast

import pytest
from pytest_django.fixtures import Settings

from rooms.auth.grants import Identity
from rooms.messaging.connections import Closeable, Connections, disconnect_event
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery, pack


class FakeConnection:
    """A connection of a user that logs how it was closed."""

    def __init__(self, user_id: str, address: str = "192.0.2.1") -> None:
        self.identity = Identity(user_id)
        self.address = address
        self.closed: list[Close] = []

    def close(self, code: Close, reason: str = "") -> None:
        self.closed.append(code)


def connection(user_id: str, address: str = "192.0.2.1") -> Closeable:
    return cast("Closeable", FakeConnection(user_id, address))


@pytest.mark.parametrize("setting", ["max_user_connections", "max_ip_connections"])
def test_a_limit_holds_until_a_connection_ends(
    settings: Settings, setting: str
) -> None:
    limits = {"max_user_connections": 0, "max_ip_connections": 0}
    settings.BEAM = settings.BEAM | limits | {setting: 2}
    known = Connections()
    first = connection("ada")
    for each in (first, connection("ada")):
        assert known.has_room(each)
        known.add(each)
    assert not known.has_room(connection("ada"))
    other = {"max_user_connections": "bob", "max_ip_connections": "ada"}[setting]
    assert known.has_room(connection(other, "192.0.2.2"))

    known.discard(first)
    known.discard(first)

    assert known.has_room(connection("ada"))
    assert len(known) == 1


def test_a_disconnect_closes_every_connection_of_the_user_only() -> None:
    known = Connections()
    one, two, other = connection("ada"), connection("ada"), connection("bob")
    for each in (one, two, other):
        known.add(each)

    known.disconnect(Delivery(pack(disconnect_event("ada"))))

    closed = [cast("FakeConnection", each).closed for each in (one, two, other)]
    assert closed == [[Close.GOING_AWAY], [Close.GOING_AWAY], []]


def test_a_drain_is_remembered() -> None:
    known = Connections()
    assert not known.is_draining

    known.drain()

    assert known.is_draining
