"""Writes to one client, and closes a client that leaves too much unread.

What waits is held by Twisted's transport; `rooms.protocol.output_limit` decides how
much may wait, and for how long.
"""

from __future__ import annotations

import asyncio
import sys
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.python.failure import Failure

from beam.config.conf import conf
from beam.server.event_loop import twisted_loop
from beam.telemetry import metrics
from rooms.messaging.connections import connections
from rooms.messaging.outbound import Ended
from rooms.protocol.close_codes import Close
from rooms.protocol.output_limit import UnreadOutput

CLOSE_SECONDS = 2.0


class OutputProtocol(WebSocketProtocol):  # type: ignore[misc]
    """The part of `beam.server.websocket.FrameProtocol` that writes."""

    # autobahn's name.
    closeHandshakeTimeoutCall: Any  # noqa: N815
    _output: UnreadOutput | None = None
    _looking: asyncio.TimerHandle | None = None
    _ended: Ended | None = None

    def _forget_output(self) -> None:
        """Free what waits now: the garbage collector may come late."""
        if self._looking is not None:
            self._looking.cancel()
            self._output = self._looking = None
        if self._queued():
            self.transport.dataBuffer, self.transport.offset = b"", 0
            self.transport._tempDataBuffer, self.transport._tempDataLen = [], 0

    def is_behind(self) -> bool:
        """See `rooms.messaging.outbound.FrameWriter`."""
        return self._output is not None and self._queued() > conf().outbound_limit

    def write(self, data: bytes) -> bool:
        """Send finished frames: at once where nothing is queued, else behind it.

        See `rooms.messaging.outbound.FrameWriter`.
        """
        if self.state != self.STATE_OPEN:
            return False
        queued, output = self._queued(), self._output
        # Counted even if nothing is queued: the system may not take it all.
        if output is not None and not self._takes(output, queued, len(data)):
            self._close_slow()
            return False
        return self._put(data, queued)

    @staticmethod
    def _takes(output: UnreadOutput, queued: int, size: int) -> bool:
        """Whether a client that was above the limit may get more."""
        if not output.is_in_turn:
            twisted_loop.call_soon(output.end_turn)
        return output.takes(queued, size)

    def _put(self, data: bytes, queued: int) -> bool:
        """Write all of it, now or later. False: the connection is gone."""
        rest = data if queued else self._write_now(data)
        if rest is None:
            return False
        if rest:
            self.transport.write(rest)
            if self._output is None and queued + len(rest) > conf().outbound_limit:
                self._watch_unread()
        return True

    def _watch_unread(self) -> None:
        """Look after a period whether the client reads: see `UnreadOutput`."""
        if self._looking is not None:
            self._looking.cancel()
        self._output = UnreadOutput(
            conf().outbound_limit, self._queued(), self._unacknowledged()
        )
        twisted_loop.call_soon(self._output.end_turn)
        self._looking = twisted_loop.call_later(conf().outbound_seconds, self._look)

    def _look(self) -> None:
        """A period is over."""
        is_open = self.state == self.STATE_OPEN
        output, self._output, self._looking = self._output, None, None
        if self._queued() <= (conf().outbound_limit if is_open else 0):
            if not is_open:
                # Time for the answer to a close frame that was read only now.
                twisted_loop.call_later(CLOSE_SECONDS, self.onCloseHandshakeTimeout)
        elif output is not None and output.end_period(self._unacknowledged()):
            self._output = output
            self._looking = twisted_loop.call_later(conf().outbound_seconds, self._look)
        elif is_open:
            self._close_slow()
        else:
            self.onCloseHandshakeTimeout()

    def _close_slow(self) -> None:
        """The client gets the close frame behind what waits; others know at once."""
        metrics.SLOW_CONSUMERS.value += 1
        self.close(Close.SLOW_CONSUMER)
        if self._ended is not None:
            # Not amid a fan-out, which this would change.
            twisted_loop.call_soon(self._ended, Close.SLOW_CONSUMER.name.lower())

    def _write_now(self, data: bytes) -> bytes | None:
        """Give the system what it takes, without a turn of the loop; the rest.

        None: the connection is gone.
        """
        at, most = 0, self.transport.SEND_LIMIT
        while True:
            sent = self.transport.writeSomeData(memoryview(data)[at:] if at else data)
            if not isinstance(sent, int):
                self.transport.connectionLost(_failure(sent))
                return None
            at += sent
            if sent < most or at == len(data):
                return data[at:]

    def sendData(  # noqa: N802 - autobahn's name
        self, data: bytes, sync: bool = False, chopsize: int | None = None
    ) -> None:
        """What autobahn itself writes: the handshake, pongs, close frames."""
        self._put(data, self._queued())

    def onPing(self, payload: bytes) -> None:  # noqa: N802 - autobahn's name
        """A client that does not read could pile up pongs: it gets some of them."""
        if self._output is None or self._output.takes_pong():
            super().onPing(payload)

    def _unacknowledged(self) -> int:
        """Bytes that the client has not acknowledged, where the system knows."""
        try:
            held = ioctl(self.transport.socket, TIOCOUTQ, bytes(4))
        except OSError:
            return self._queued()
        return self._queued() + int.from_bytes(held, sys.byteorder)

    def _queued(self) -> int:
        """Bytes that Twisted's transport holds for this client."""
        transport = self.transport
        held = len(transport.dataBuffer) - transport.offset
        return int(held + transport._tempDataLen)

    def close(self, code: int) -> None:
        """See `rooms.messaging.outbound.FrameWriter`."""
        if self.state == self.STATE_OPEN:
            # `sendClose` knows applications' codes only (3000 and above).
            self.sendCloseFrame(code=int(code))

    def sendCloseFrame(  # noqa: N802 - autobahn's name
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,  # noqa: N803 - autobahn's name
        isReply: bool = False,  # noqa: N803 - autobahn's name
    ) -> None:
        """Close reasons are always empty, as Phoenix's are.

        A client with much to read before it has longer than a close handshake
        takes: for as long as it reads, unless this process stops.
        """
        unread = self._queued()
        super().sendCloseFrame(code=code, isReply=isReply)
        if unread and self.closeHandshakeTimeoutCall and not connections().is_draining:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
            self._watch_unread()


def _failure(error: Exception) -> Any:
    return Failure(error)  # type: ignore[no-untyped-call]
