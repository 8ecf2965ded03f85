"""The output of one WebSocket on any ASGI server but Beam's own.

Owns the messages that the server has not taken yet, and closes a slow client.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from beam.telemetry import metrics
from rooms.messaging.outbound import Ended, Receiver, count_encodable
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.output_limit import UnreadOutput
from rooms.protocol.serializer import encode, is_binary

# Added to a close code that the server does not accept: 1012 becomes 4012.
APPLICATION_CODES = 3_000

AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]


class AsgiSocket:
    """A socket on any other ASGI server. Has a task only while messages wait."""

    def __init__(
        self, send: AsgiSend, vsn: Vsn, limit: int, seconds: float = 10.0
    ) -> None:
        """`limit` and `seconds`: the settings `outbound_limit`, `outbound_seconds`."""
        self.vsn = vsn
        self._asgi_send = send
        self._limit = limit
        self._seconds = seconds
        # Each with how many events it carries: one or none.
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._queued_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._resumed: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._last_received = self._loop.time()
        self._ended: Ended | None = None
        self._output: UnreadOutput | None = None
        self._timer: asyncio.TimerHandle | None = None

    def send(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self._put(encode(frame, self.vsn), is_binary(frame), 0)

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        count_encodable(batch, self.vsn)
        for delivery in batch:
            data = delivery.encoded(self.vsn)
            if data is not None:
                self._put(data, delivery.binary, 1)

    def close(self, code: Close) -> None:
        if not self._closing:
            self._closing = True
            self._start({"type": "websocket.close", "code": int(code)}, 0)

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        self._ended = ended
        return False

    def resume(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    async def pause(self, seconds: float) -> None:
        if math.isfinite(seconds):
            await asyncio.sleep(seconds)
            return
        self._resumed = self._loop.create_future()
        await self._resumed

    def is_behind(self) -> bool:
        return self._output is not None and self._queued_bytes > self._limit

    def note_received(self) -> None:
        """The client sent a message. Pings are not known: the server answers them."""
        self._last_received = self._loop.time()

    def idle_for(self) -> float:
        return self._loop.time() - self._last_received

    def _put(self, data: bytes, binary: bool, copies: int) -> None:
        if not self._closing and not self._takes(len(data)):
            self._close_slow()
        if self._closing:
            metrics.DROPPED.value += copies
            return
        self._queued_bytes += len(data)
        if self._output is None and self._queued_bytes > self._limit:
            waiting = self._queued_bytes
            self._output = UnreadOutput(self._limit, waiting, waiting)
            self._loop.call_soon(self._output.end_turn)
            self._timer = self._loop.call_later(self._seconds, self._end_period)
        body = {"bytes": data} if binary else {"text": data.decode()}
        self._start({"type": "websocket.send", **body}, copies)

    def _takes(self, size: int) -> bool:
        """Whether so many more bytes may wait for the client."""
        if (unread := self._output) is None:
            return True
        if not unread.is_in_turn:
            self._loop.call_soon(unread.end_turn)
        return unread.takes(self._queued_bytes, size)

    def _end_period(self) -> None:
        """Close a client that read too little: see `rooms.protocol.output_limit`."""
        unread, self._output, self._timer = self._output, None, None
        if unread is None or self._queued_bytes <= self._limit:
            return
        if unread.end_period(self._queued_bytes):
            self._output = unread
            self._timer = self._loop.call_later(self._seconds, self._end_period)
        else:
            self._close_slow()

    def _close_slow(self) -> None:
        """Close a slow client, after the messages that the server already has."""
        metrics.SLOW_CONSUMERS.value += 1
        self._drop()
        self.close(Close.SLOW_CONSUMER)
        if self._task is not None:
            # The client may not read those either.
            self._timer = self._loop.call_later(self._seconds, self._task.cancel)
        if self._ended is not None:
            # Later: during a fan-out the members of a topic must not change.
            self._loop.call_soon(self._ended, Close.SLOW_CONSUMER.name.lower())

    def _drop(self) -> None:
        metrics.DROPPED.value += sum(copies for _, copies in self._queue)
        self._queue.clear()
        self._output = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lose(self, copies: int) -> None:
        """Drop what waits: nothing can be sent. `copies`: events in the last send."""
        self._closing = True
        metrics.DROPPED.value += copies
        self._drop()

    def _start(self, message: dict[str, Any], copies: int) -> None:
        self._queue.append((message, copies))
        if self._task is None:
            self._task = self._loop.create_task(self._drain())

    async def _send_close(self, message: dict[str, Any]) -> None:
        try:
            await self._asgi_send(message)
        except Exception:  # noqa: BLE001 - daphne refuses codes below 3000
            code = message["code"] + APPLICATION_CODES
            await self._asgi_send(message | {"code": code})

    async def _drain(self) -> None:
        copies = 0
        try:
            while self._queue:
                message, copies = self._queue.popleft()
                if message["type"] == "websocket.close":
                    await self._send_close(message)
                    self._drop()
                    return
                await self._asgi_send(message)
                metrics.DELIVERED.value += copies
                copies = 0
                sent = message.get("bytes") or message.get("text", "")
                self._queued_bytes -= len(sent.encode() if type(sent) is str else sent)
        except asyncio.CancelledError:
            self._lose(copies)
            raise
        except Exception:  # noqa: BLE001 - any server, any error after the end
            self._lose(copies)
        finally:
            self._task = None
