"""A socket on Beam's own server: what was written, and what was not."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.messaging.outbound import Ended, Receiver
from rooms.messaging.prepared_socket import PreparedSocket
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event
from rooms.protocol.frame import Frame, Vsn
from tests.clients import until


def events(count: int, size: int = 10) -> list[Delivery]:
    """Events as the hub gives them to sockets."""
    event = Event(topic="room:r", name="changed", payload={"x": "y" * size})
    return [Delivery(pack(event)) for _ in range(count)]


class Writer:
    """A server that accepts only the first `takes` writes."""

    def __init__(self, takes: int) -> None:
        self.takes = takes

    def listen(self, receiver: Receiver, ended: Ended) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        self.takes -= 1
        return self.takes >= 0

    def close(self, code: int) -> None:
        self.takes = 0

    def resume(self) -> None:
        raise NotImplementedError

    def is_behind(self) -> bool:
        return False

    def idle_for(self) -> float:
        return 0.0


async def test_events_that_the_server_refuses_are_counted_as_dropped(
    counted: Any,
) -> None:
    socket = PreparedSocket(Writer(takes=1), Vsn.V2)

    for _ in range(3):
        socket.deliver(events(2), None)

    assert counted() == (2, 4)


@pytest.mark.parametrize(("takes", "expected"), [(1, (3, 0)), (0, (0, 3))])
async def test_events_after_a_reply_are_counted_when_they_are_written(
    counted: Any, takes: int, expected: tuple[int, int]
) -> None:
    socket = PreparedSocket(Writer(takes), Vsn.V2)

    socket.send([Frame("1", "1", "room:r", "phx_reply", {})])
    socket.deliver(events(3), None)
    assert counted() == (0, 0)

    await until(lambda: counted() == expected)
