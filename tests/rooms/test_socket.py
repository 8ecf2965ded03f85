"""The way out of a socket: what was written, and what was not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from beam import metrics
from rooms.event import Delivery, Event
from rooms.socket import AsgiSocket, Ended, PreparedSocket, Receiver
from rooms.wire import Close, Frame, Vsn
from tests.clients import until


def events(count: int, size: int = 10) -> list[Delivery]:
    """Events as a hub hands them to its sockets."""
    event = Event(topic="room:r", name="changed", payload={"x": "y" * size})
    return [Delivery(event.pack()) for _ in range(count)]


class Writer:
    """A server that takes the first so many writes."""

    def __init__(self, takes: int) -> None:
        self.takes = takes

    def listen(self, receiver: Receiver, ended: Ended) -> None:
        raise NotImplementedError

    def write(self, data: bytes) -> bool:
        self.takes -= 1
        return self.takes >= 0

    def close(self, code: int) -> None:
        self.takes = 0

    def idle_for(self) -> float:
        return 0.0


@pytest.fixture
def counted() -> Any:
    """How many copies were delivered and dropped since the test began."""
    before = metrics.DELIVERED.value, metrics.DROPPED.value
    return lambda: (
        metrics.DELIVERED.value - before[0],
        metrics.DROPPED.value - before[1],
    )


async def test_what_the_server_does_not_take_is_dropped_and_counted(
    counted: Any,
) -> None:
    socket = PreparedSocket(Writer(takes=1), Vsn.V2)

    for _ in range(3):
        socket.deliver(events(2), None)

    assert counted() == (2, 4)


@pytest.mark.parametrize(("takes", "expected"), [(1, (3, 0)), (0, (0, 3))])
async def test_events_behind_a_reply_are_counted_when_they_are_written(
    counted: Any, takes: int, expected: tuple[int, int]
) -> None:
    socket = PreparedSocket(Writer(takes), Vsn.V2)

    socket.send([Frame("1", "1", "room:r", "phx_reply", {})])
    socket.deliver(events(3), None)
    assert counted() == (0, 0)

    await until(lambda: counted() == expected)


async def test_over_the_limit_all_that_waits_is_dropped_and_counted(
    counted: Any,
) -> None:
    sent: list[dict[str, Any]] = []
    gate = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        await gate.wait()
        sent.append(message)

    socket = AsgiSocket(send, Vsn.V2, limit=500)
    socket.deliver(events(1, size=100), None)
    await asyncio.sleep(0)
    socket.deliver(events(9, size=100), None)
    gate.set()

    await until(lambda: len(sent) == 2)
    assert [message["type"] for message in sent] == [
        "websocket.send",
        "websocket.close",
    ]
    assert sent[1]["code"] == Close.SLOW_CONSUMER
    assert counted() == (1, 9)


async def test_a_server_that_raises_has_lost_what_waited(counted: Any) -> None:
    async def send(message: dict[str, Any]) -> None:
        raise OSError("gone")

    socket = AsgiSocket(send, Vsn.V2, limit=10_000)
    socket.deliver(events(3), None)

    await until(lambda: counted() == (0, 3))
