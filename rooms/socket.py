"""Owns the way out of one WebSocket: everything a client is sent goes here.

`PreparedSocket` hands finished WebSocket frames to Beam's server through the
ASGI extension `beam.frames`; `AsgiSocket` uses ordinary ASGI sends on any
other server. Same behaviour, other speed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from beam import metrics
from rooms.event import Delivery
from rooms.wire import Close, Frame, Vsn, encode, is_binary, prepared

EXTENSION = "beam.frames"

# What is added to a close code where the server refuses it: 1012 is 4012.
APPLICATION_CODES = 3_000


Receiver = Callable[[str | bytes], float]
"""Takes one message of the client: text as `str`, binary as `bytes`.

Answers how many seconds the client is to wait before its next.
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
        """Queue finished frames, in order; over the limit the socket ends.

        False: they were not taken, as the socket ends or has ended.
        """

    def close(self, code: int) -> None:
        """Send a close frame behind what is queued."""

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

    def idle_for(self) -> float:
        """Seconds since the client last sent anything that the server saw."""

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        """Whether messages and the end are handed over; else they come by `receive`."""


def join_prepared(batch: Sequence[Delivery], vsn: Vsn) -> bytes:
    """The finished WebSocket frames of a batch, one behind the other."""
    if vsn is Vsn.V2:
        return b"".join([delivery.prepared_v2 for delivery in batch])
    return b"".join([delivery.prepared_v1 for delivery in batch])


def _tellable(batch: Sequence[Delivery], vsn: Vsn) -> int:
    """How many of a batch the serializer can say; the others are counted as lost."""
    if vsn is Vsn.V2:
        return len(batch)
    lost = sum(delivery.binary for delivery in batch)
    metrics.UNDELIVERABLE.value += lost
    return len(batch) - lost


class PreparedSocket:
    """A socket on Beam's own server."""

    def __init__(self, writer: FrameWriter, vsn: Vsn) -> None:
        self.vsn = vsn
        self._writer = writer
        self._waiting: list[bytes] = []
        # Copies of events among them.
        self._copies = 0
        self._loop = asyncio.get_running_loop()
        self.idle_for = writer.idle_for

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        self._writer.listen(receiver, ended)
        return True

    def send(self, frames: Iterable[Frame]) -> None:
        finished = [
            prepared(encode(frame, self.vsn), is_binary(frame)) for frame in frames
        ]
        if not self._waiting:
            # A client that pushes in bursts gets its answers in one write.
            self._loop.call_soon(self._flush)
        self._waiting += finished

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        copies = _tellable(batch, self.vsn)
        data = join_prepared(batch, self.vsn) if joined is None else joined
        if self._waiting:
            self._waiting.append(data)
            self._copies += copies
        elif self._writer.write(data):
            metrics.DELIVERED.value += copies
        else:
            metrics.DROPPED.value += copies

    def close(self, code: Close) -> None:
        self._flush()
        self._writer.close(code)

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            copies, self._copies = self._copies, 0
            if self._writer.write(b"".join(waiting)):
                metrics.DELIVERED.value += copies
            else:
                metrics.DROPPED.value += copies


AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]


class AsgiSocket:
    """A socket on any other ASGI server: one task while there is work."""

    def __init__(self, send: AsgiSend, vsn: Vsn, limit: int) -> None:
        self.vsn = vsn
        self._asgi_send = send
        self._limit = limit
        # Each with how many copies of events it is: one or none.
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._queued_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()

    def send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._put(encode(frame, self.vsn), is_binary(frame), 0)

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        _tellable(batch, self.vsn)
        for delivery in batch:
            data = delivery.encoded(self.vsn)
            if data is not None:
                self._put(data, delivery.binary, 1)

    def close(self, code: Close) -> None:
        if not self._closing:
            self._closing = True
            self._start({"type": "websocket.close", "code": int(code)}, 0)

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        return False

    def heard(self) -> None:
        """The client sent a frame. Pings stay the server's secret."""
        self._heard = self._loop.time()

    def idle_for(self) -> float:
        return self._loop.time() - self._heard

    def _put(self, data: bytes, binary: bool, copies: int) -> None:
        if self._closing:
            metrics.DROPPED.value += copies
            return
        self._queued_bytes += len(data)
        if self._queued_bytes > self._limit:
            metrics.SLOW_CONSUMERS.value += 1
            metrics.DROPPED.value += copies
            self._drop()
            self.close(Close.SLOW_CONSUMER)
            return
        body = {"bytes": data} if binary else {"text": data.decode()}
        self._start({"type": "websocket.send", **body}, copies)

    def _drop(self) -> None:
        metrics.DROPPED.value += sum(copies for _, copies in self._queue)
        self._queue.clear()

    def _start(self, message: dict[str, Any], copies: int) -> None:
        self._queue.append((message, copies))
        if self._task is None:
            self._task = self._loop.create_task(self._drain())

    async def _send_close(self, message: dict[str, Any]) -> None:
        try:
            await self._asgi_send(message)
        except Exception:  # noqa: BLE001 - plain daphne sends applications' codes only
            code = message["code"] + APPLICATION_CODES
            await self._asgi_send(message | {"code": code})

    async def _drain(self) -> None:
        copies = 0
        try:
            while self._queue:
                message, copies = self._queue.popleft()
                if message["type"] == "websocket.close":
                    await self._send_close(message)
                    return
                await self._asgi_send(message)
                metrics.DELIVERED.value += copies
                copies = 0
                sent = message.get("bytes") or message.get("text", "")
                self._queued_bytes -= len(sent.encode() if type(sent) is str else sent)
        except Exception:  # noqa: BLE001 - servers raise what they like once a peer is gone
            self._closing = True
            metrics.DROPPED.value += copies
            self._drop()
        finally:
            self._task = None
