"""daphne's WebSocket protocol, which hands whole messages to the consumer.

Finished frames are written as they are, and each connection ends with a close frame
that says why.
"""

from __future__ import annotations

import asyncio
import math
import time
from http import HTTPStatus
from typing import Any

from autobahn.websocket import protocol as autobahn_protocol

from beam.server.event_loop import twisted_loop
from beam.server.websocket_output import OutputProtocol
from beam.telemetry import metrics
from rooms.channels.refused_connect import HTTP_RESPONSE
from rooms.messaging.outbound import CLOSED_BY_CLIENT, LOST, Ended, Receiver
from rooms.monitoring import client_log
from rooms.protocol.close_codes import Close
from rooms.protocol.ws_frames import read

# autobahn refuses origins that it cannot read. Beam checks all of them itself, and
# `allowNullOrigin` makes autobahn accept this one.
autobahn_protocol._url_to_origin = lambda _: "null"

# Messages that one client may have handled before the others have their turn.
TURN = 32
# Bytes that may come before the opening handshake is answered: no good client
# sends any.
MOST_EARLY = 65_536
# What could not be read of a handshake, by the reason that counts it.
READ = {"origin": "header Origin", "malformed": "request"}


class FrameProtocol(OutputProtocol):
    """daphne's WebSocket, and the frame writer of its scope: `FrameWriter`."""

    _heard = 0.0
    _unread = b""
    _resuming: asyncio.TimerHandle | None = None
    _stalled = False
    _receiver: Receiver | None = None
    _refusal: dict[str, Any] | None = None
    # autobahn's: what came in and is not read yet.
    data: bytes

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """A handshake is about to begin."""
        self._heard = _now()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Whole messages go straight to the application; autobahn has the rest.

        Bytes of any kind show that the client is there.
        """
        self._heard = _now()
        if self._receiver is not None and not self._is_amid_a_message():
            self._read(self._receiver, self._unread + data)
        elif self.state == self.STATE_CONNECTING and self._is_judged():
            self._keep(data)
        else:
            super().dataReceived(data)

    def _is_judged(self) -> bool:
        """Whether the application has the handshake to answer."""
        return hasattr(self, "application_deferred")

    def _keep(self, data: bytes) -> None:
        """Hold what comes before the answer: it may take seconds.

        autobahn would look for a second handshake in it, all of it each time.
        """
        self.data += data
        if len(self.data) > MOST_EARLY:
            metrics.REFUSED.count("malformed")
            why = "the client sends messages and does not wait for the answer"
            client_log.connect_refused("malformed", why, "")
            self.transport.abortConnection()

    def _read(self, receiver: Receiver, data: bytes) -> None:
        """Hand over a turn's worth of messages, and keep what is left."""
        found, at, begun = read(data, self.maxFramePayloadSize, TURN)
        wait = 0.0
        for message in found:
            wait = receiver(message)
        self._unread = data[at:]
        if wait or (self._unread and len(found) == TURN):
            self._pause(wait)
        elif self._unread and not begun:
            unread, self._unread = self._unread, b""
            super().dataReceived(unread)

    def _pause(self, seconds: float) -> None:
        """Read nothing for a while: what the client sends waits in the network.

        Infinity: until `resume`.
        """
        if self._resuming is None and not self._stalled:
            self.transport.pauseProducing()
        if seconds == math.inf:
            self._stalled = True
        elif self._resuming is None:
            self._resuming = twisted_loop.call_later(seconds, self._resume)

    def resume(self) -> None:
        """See `rooms.messaging.outbound.FrameWriter`."""
        if self._stalled:
            self._stalled = False
            self._pause(0.0)

    def _resume(self) -> None:
        self._resuming = None
        if self.transport.connected and not self._stalled:
            self.transport.resumeProducing()
            if self._receiver is not None:
                self._read(self._receiver, self._unread)

    def _is_amid_a_message(self) -> bool:
        """Whether autobahn must see the next bytes."""
        return bool(self.data) or self.inside_message or self.current_frame is not None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """A message that autobahn put together."""
        if self._receiver is None:
            super().onMessage(payload, isBinary)
        elif wait := self._receiver(payload if isBinary else payload.decode()):
            self._pause(wait)

    def listen(self, receiver: Receiver, ended: Ended) -> None:
        """See `rooms.messaging.outbound.FrameWriter`."""
        self._receiver, self._ended = receiver, ended
        self._forget_the_handshake()
        for message in self.application_queue.take():
            if message["type"] != "websocket.receive":
                ended(LOST)
                return
            text = message.get("text")
            receiver(message["bytes"] if text is None else text)

    def _forget_the_handshake(self) -> None:
        """Give back what only the opening needed: a quarter of a socket's memory.

        The request's HTTP channel stays the transport's producer in daphne. It
        pauses a client that reads slowly, and never lets it go on.
        """
        self.transport.unregisterProducer()
        self.clean_headers.clear()
        self.http_headers: dict[str, str] = {}
        self.http_request_data = b""
        self.request.headers = {}
        # Only what is chopped or synchronous waits there; nothing here is.
        self.send_queue = ()

    def onClose(  # noqa: N802 - autobahn's name
        self,
        wasClean: bool,  # noqa: N803 - autobahn's name
        code: int | None,
        reason: str | None,
    ) -> None:
        """The connection ended."""
        super().onClose(wasClean, code, reason)
        self._forget_output()
        if self._ended is not None:
            self._ended(self._why())
            self._receiver = self._ended = None

    def _why(self) -> str:
        """Who ended it: Beam by a code, the client by a close frame, or neither."""
        if self.closedByMe and self.localCloseCode in set(Close):
            return Close(self.localCloseCode).name.lower()
        return LOST if self.remoteCloseCode is None else CLOSED_BY_CLIENT

    def idle_for(self) -> float:
        """See `rooms.messaging.outbound.FrameWriter`."""
        return _now() - self._heard

    def processHandshake(self) -> None:  # noqa: N802 - autobahn's name
        """Read the request; what is behind two slashes is not taken for a host."""
        if self.data.startswith(b"GET //"):
            self.data = b"GET /" + self.data[4:].lstrip(b"/")
        super().processHandshake()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Do what the application says; refusals have a status (ASGI extension)."""
        if message["type"] == f"{HTTP_RESPONSE}.start":
            self._refusal = message
        elif message["type"] == f"{HTTP_RESPONSE}.body":
            self.serverReject()
        else:
            super().handle_reply(message)

    def failHandshake(  # noqa: N802 - autobahn's name
        self,
        reason: str,
        code: int = 400,
        responseHeaders: Any = None,  # noqa: N803
    ) -> None:
        """An origin that autobahn cannot read is refused like any other."""
        is_origin = "origin" in reason.lower()
        if not self._is_judged():
            # The application, which counts what it refuses, was never asked.
            kind = "origin" if is_origin else "malformed"
            metrics.REFUSED.count(kind)
            # Without autobahn's words, which quote the request.
            client_log.connect_refused(kind, f"the {READ[kind]} cannot be read", "")
        code = 403 if is_origin else code
        if self._refusal is not None:
            code = self._refusal["status"]
            reason = HTTPStatus(code).phrase
            headers = self._refusal["headers"]
            responseHeaders = [(n.decode(), v.decode()) for n, v in headers]  # noqa: N806
        super().failHandshake(reason, code, responseHeaders)


def configured(factory: Any) -> type[FrameProtocol]:
    """The protocol with the factory's options as attributes of its class.

    autobahn copies some thirty to every connection otherwise, and formats them
    for a debug log: a ninth of a join and a tenth of a socket's memory.
    """
    options: dict[str, Any] = {"CONFIG_ATTRS": ()}
    for name in FrameProtocol.CONFIG_ATTRS:
        option = getattr(factory, name)
        # A function of the class would be called with the connection first.
        options[name] = staticmethod(option) if callable(option) else option
    return type("FrameProtocol", (FrameProtocol,), options)


def _now() -> float:
    return time.monotonic()
