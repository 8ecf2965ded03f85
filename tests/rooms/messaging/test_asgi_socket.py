"""A socket on any ASGI server: slow clients, and what was not written."""

from __future__ import annotations

import asyncio
from typing import Any

from beam.telemetry import metrics
from rooms.messaging.asgi_socket import AsgiSocket
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event
from rooms.protocol.frame import Vsn
from tests.clients import until


def events(count: int, size: int = 10) -> list[Delivery]:
    """Events as the hub gives them to sockets."""
    event = Event(topic="room:r", name="changed", payload={"x": "y" * size})
    return [Delivery(pack(event)) for _ in range(count)]


class Server:
    """An ASGI server whose client reads when `read` is called."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Semaphore(0)

    async def send(self, message: dict[str, Any]) -> None:
        await self.reads.acquire()
        self.sent.append(message)

    def read(self, messages: int) -> None:
        for _ in range(messages):
            self.reads.release()

    def types(self) -> list[str]:
        return [message["type"].removeprefix("websocket.") for message in self.sent]


async def turns(count: int = 3) -> None:
    """Run some turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_events_of_one_turn_are_written_above_the_limit_too(
    counted: Any,
) -> None:
    server = Server()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=60)

    socket.deliver(events(100, size=100), None)
    server.read(100)

    await until(lambda: counted() == (100, 0))
    assert server.types() == ["send"] * 100


async def test_a_client_that_reads_nothing_gets_whole_messages_and_then_1013(
    counted: Any,
) -> None:
    server, reasons = Server(), list[str]()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=60)
    socket.listen(lambda _: 0.0, reasons.append)
    slow = metrics.SLOW_CONSUMERS.value

    for _ in range(100):
        socket.deliver(events(1, size=100), None)
        await turns()
    server.read(2)

    await until(lambda: len(server.sent) == 2)
    assert server.types() == ["send", "close"]
    assert server.sent[1]["code"] == Close.SLOW_CONSUMER
    assert counted() == (1, 99)
    assert metrics.SLOW_CONSUMERS.value == slow + 1
    assert reasons == ["slow_consumer"]


async def test_above_the_limit_a_client_must_read_in_time() -> None:
    server, reasons = Server(), list[str]()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=0.05)
    socket.listen(lambda _: 0.0, reasons.append)

    socket.deliver(events(20, size=100), None)

    await until(lambda: reasons == ["slow_consumer"])


async def test_a_client_that_does_not_read_the_close_frame_is_dropped() -> None:
    server = Server()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=0.05)

    socket.deliver(events(20, size=100), None)

    await until(lambda: socket._closing)
    await until(lambda: socket._task is None)
    assert not server.sent


async def test_a_client_that_reads_slowly_gets_all_events(counted: Any) -> None:
    server = Server()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=0.05)

    socket.deliver(events(30, size=100), None)
    for at in range(30):
        server.read(1)
        await until(lambda at=at: len(server.sent) > at)  # type: ignore[misc]
        await asyncio.sleep(0.02)

    assert counted() == (30, 0)
    assert not socket._closing


async def test_a_client_that_has_caught_up_is_not_closed(counted: Any) -> None:
    server = Server()
    socket = AsgiSocket(server.send, Vsn.V2, limit=500, seconds=0.05)
    socket.deliver(events(20, size=100), None)

    server.read(19)

    await until(lambda: len(server.sent) == 19)
    await until(lambda: socket._output is None)
    assert not socket._closing


async def test_if_the_server_raises_waiting_events_are_dropped(counted: Any) -> None:
    async def send(message: dict[str, Any]) -> None:
        raise OSError("gone")

    socket = AsgiSocket(send, Vsn.V2, limit=10_000)
    socket.deliver(events(3), None)

    await until(lambda: counted() == (0, 3))
