"""The output of one WebSocket on Beam's own server: finished WebSocket frames."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from beam.telemetry import metrics
from rooms.messaging.outbound import (
    Ended,
    FrameWriter,
    Receiver,
    count_encodable,
    join_prepared,
)
from rooms.protocol.close_codes import Close
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.serializer import encode, is_binary
from rooms.protocol.ws_frames import prepared


class PreparedSocket:
    """A socket on Beam's own server."""

    def __init__(self, writer: FrameWriter, vsn: Vsn) -> None:
        self.vsn = vsn
        self._writer = writer
        self._waiting: list[bytes] = []
        # How many of the waiting frames are events.
        self._copies = 0
        self._loop = asyncio.get_running_loop()
        self.idle_for = writer.idle_for

    def listen(self, receiver: Receiver, ended: Ended) -> bool:
        self._writer.listen(receiver, ended)
        return True

    def is_behind(self) -> bool:
        return self._writer.is_behind()

    def resume(self) -> None:
        self._writer.resume()

    async def pause(self, seconds: float) -> None:
        """Never called: the server pauses."""

    def send(self, frames: Iterable[Frame]) -> None:
        finished = [
            prepared(encode(frame, self.vsn), is_binary(frame)) for frame in frames
        ]
        if not self._waiting:
            # Replies to a burst of pushes leave in one write.
            self._loop.call_soon(self._flush)
        self._waiting += finished

    def deliver(self, batch: Sequence[Delivery], joined: bytes | None) -> None:
        copies = count_encodable(batch, self.vsn)
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
