"""Owns the server: daphne, with what Beam needs and plain daphne lacks.

Finished WebSocket frames are written as they are, output is bounded, every
end of a socket is told by a close frame, and SIGTERM drains. Import this
module before anything that imports Twisted's reactor.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from fcntl import ioctl
from functools import partial
from http import HTTPStatus
from pathlib import Path
from termios import TIOCOUTQ
from typing import Any

try:
    import uvloop
except ImportError:  # pragma: no cover - Windows
    pass
else:
    # Before daphne.server, which makes the loop when it is imported.
    uvloop.install()

from autobahn.websocket import protocol as autobahn_protocol
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from daphne.server import twisted_loop
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings
from twisted.python.failure import Failure

from beam import redis
from beam.config.conf import conf
from beam.config.environment import url_of
from beam.redis import startup_check
from beam.server import twisted_log
from beam.server.http import OpeningFactory
from beam.server.supervisor import BACKLOG, READY, cannot_listen
from beam.telemetry import metrics
from rooms.channels.consumer import HTTP_RESPONSE
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import connections
from rooms.messaging.hub import hub
from rooms.messaging.outbound import CLOSED_BY_CLIENT, EXTENSION, LOST, Ended, Receiver
from rooms.messaging.presence_diffs import diffs
from rooms.monitoring import client_log
from rooms.protocol.backlog import Backlog
from rooms.protocol.messages import Close
from rooms.protocol.ws_frames import read
from rooms.runtime import runtime

logger = logging.getLogger(__name__)

# autobahn refuses origins that it cannot read. Beam checks all of them itself, and
# `allowNullOrigin` makes autobahn accept this one.
autobahn_protocol._url_to_origin = lambda _: "null"

NEVER = 10**9
# Messages that one client may have handled before the others have their turn.
TURN = 32
CLOSE_SECONDS = 2.0
# Bytes that may come before the opening handshake is answered: no good client
# sends any.
MOST_EARLY = 65_536
# What could not be read of a handshake, by the reason that counts it.
READ = {"origin": "header Origin", "malformed": "request"}


class FrameProtocol(WebSocketProtocol):  # type: ignore[misc]
    """daphne's WebSocket, and the frame writer of its scope: `FrameWriter`."""

    _heard = 0.0
    _unread = b""
    _resuming: asyncio.TimerHandle | None = None
    # autobahn's name.
    closeHandshakeTimeoutCall: Any  # noqa: N815
    _backlog: Backlog | None = None
    _looking: asyncio.TimerHandle | None = None
    _stalled = False
    _receiver: Receiver | None = None
    _ended: Ended | None = None
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
        """The connection ended, by whatever way."""
        super().onClose(wasClean, code, reason)
        self._forget_output()
        if self._ended is not None:
            self._ended(self._why())
            self._receiver = self._ended = None

    def _forget_output(self) -> None:
        """Free what waits now: the garbage collector may come late."""
        if self._looking is not None:
            self._looking.cancel()
            self._backlog = self._looking = None
        if self._queued():
            self.transport.dataBuffer, self.transport.offset = b"", 0
            self.transport._tempDataBuffer, self.transport._tempDataLen = [], 0

    def _why(self) -> str:
        """Who ended it: Beam by a code, the client by a close frame, or neither."""
        if self.closedByMe and self.localCloseCode in set(Close):
            return Close(self.localCloseCode).name.lower()
        return LOST if self.remoteCloseCode is None else CLOSED_BY_CLIENT

    def idle_for(self) -> float:
        """See `rooms.messaging.outbound.FrameWriter`."""
        return _now() - self._heard

    def is_behind(self) -> bool:
        """See `rooms.messaging.outbound.FrameWriter`."""
        return self._backlog is not None and self._queued() > conf().outbound_limit

    def write(self, data: bytes) -> bool:
        """Send finished frames: at once where nothing is queued, else behind it.

        See `rooms.messaging.outbound.FrameWriter`.
        """
        if self.state != self.STATE_OPEN:
            return False
        queued, backlog = self._queued(), self._backlog
        # Counted even if nothing is queued: the system may not take it all.
        if backlog is not None and not self._takes(backlog, queued, len(data)):
            self._close_slow()
            return False
        return self._put(data, queued)

    @staticmethod
    def _takes(backlog: Backlog, queued: int, size: int) -> bool:
        """Whether a client that was above the limit may get more."""
        if not backlog.is_in_turn:
            twisted_loop.call_soon(backlog.end_turn)
        return backlog.takes(queued, size)

    def _put(self, data: bytes, queued: int) -> bool:
        """Write all of it, now or later. False: the connection is gone."""
        rest = data if queued else self._write_now(data)
        if rest is None:
            return False
        if rest:
            self.transport.write(rest)
            if self._backlog is None and queued + len(rest) > conf().outbound_limit:
                self._watch_backlog()
        return True

    def _watch_backlog(self) -> None:
        """Look after a period whether the client reads: `rooms.protocol.backlog`."""
        if self._looking is not None:
            self._looking.cancel()
        self._backlog = Backlog(
            conf().outbound_limit, self._queued(), self._unacknowledged()
        )
        twisted_loop.call_soon(self._backlog.end_turn)
        self._looking = twisted_loop.call_later(conf().outbound_seconds, self._look)

    def _look(self) -> None:
        """A period is over."""
        is_open = self.state == self.STATE_OPEN
        backlog, self._backlog, self._looking = self._backlog, None, None
        if self._queued() <= (conf().outbound_limit if is_open else 0):
            if not is_open:
                # Time for the answer to a close frame that was read only now.
                twisted_loop.call_later(CLOSE_SECONDS, self.onCloseHandshakeTimeout)
        elif backlog is not None and backlog.end_period(self._unacknowledged()):
            self._backlog = backlog
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
        if self._backlog is None or self._backlog.takes_pong():
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
        if unread and self.closeHandshakeTimeoutCall and not connections.draining:
            self.closeHandshakeTimeoutCall.cancel()
            self.closeHandshakeTimeoutCall = None
            self._watch_backlog()

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


class Inbox:
    """What an application has yet to receive. An `asyncio.Queue` weighs 3,000 bytes."""

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> dict[str, Any]:
        """The next message, when there is one. One reader only."""
        while not self._messages:
            self._waiter = twisted_loop.create_future()
            await self._waiter
        self._waiter = None
        return self._messages.pop(0)

    def take(self) -> list[dict[str, Any]]:
        """All messages that are there."""
        taken, self._messages = self._messages, []
        return taken


def _configured(factory: Any) -> type[FrameProtocol]:
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


def _collect_rarely() -> None:
    """Let the garbage collector look at live sockets a tenth as often.

    Python's own thresholds make it a fifth of a join. What starts with the
    process lives as long as it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _endpoint(host: str, port: int, listening: int | None) -> str:
    """What Twisted calls the place: an address, or a socket that listens already.

    Its own backlog is 50; what is above comes a second late, when the client's
    system tries again.
    """
    if listening is not None:
        return str(*build_endpoint_description_strings(file_descriptor=listening))
    [address] = build_endpoint_description_strings(host=host, port=port)
    return f"{address}:backlog={BACKLOG}"


def _python() -> str:
    """The interpreter as one would type it."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd()) if Path.cwd() in path.parents else path)


async def _in_time(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Wait for a step of the drain, but not for ever: the next one is due as well."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        logger.warning("Some connections did not end in time")


def _now() -> float:
    return time.monotonic()


def _failure(error: Exception) -> Any:
    return Failure(error)  # type: ignore[no-untyped-call]


class Server(DaphneServer):  # type: ignore[misc]
    """daphne's server with Beam's protocol, limits and way to stop."""

    def __init__(
        self,
        application: Any,
        host: str,
        port: int,
        inherited: tuple[int, int] | None = None,
    ) -> None:
        """`inherited`: a listening socket and the supervisor's control pipe."""
        super().__init__(
            application,
            endpoints=[_endpoint(host, port, inherited and inherited[0])],
            signal_handlers=False,
            websocket_timeout=-1,
            ping_interval=NEVER,
            ping_timeout=None,
            websocket_max_message_size=conf().max_frame_bytes,
            websocket_max_frame_size=conf().max_frame_bytes,
            ready_callable=self._ready,
            server_name="beam",
        )
        self._address = host, port
        self._draining: asyncio.Task[None] | None = None
        self._control = inherited and socket.socket(fileno=inherited[1])
        self.failed = False

    def _ready(self) -> None:
        twisted_log.install()
        # A close frame tells why; a dropped connection does not.
        self.ws_factory.setProtocolOptions(
            failByDrop=False,
            closeHandshakeTimeout=CLOSE_SECONDS,
            # Not sticky: every call sets it.
            allowNullOrigin=True,
            # The request is whole before autobahn sees it; daphne times the rest.
            openHandshakeTimeout=0,
        )
        self.ws_factory.protocol = _configured(self.ws_factory)
        _collect_rarely()
        loop = asyncio.get_event_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Offer the frame writer to WebSocket applications."""
        if scope["type"] != "websocket":
            return super().create_application(protocol, scope)
        scope["extensions"] = {EXTENSION: protocol, HTTP_RESPONSE: {}}
        scope["asgi"] = {"version": "3.0"}
        inbox = Inbox()
        send = partial(self.handle_reply, protocol)
        running = twisted_loop.create_task(self.application(scope, inbox.get, send))
        self.connections[protocol]["application_instance"] = running
        return inbox

    def listen_success(self, port: Any) -> None:
        """Tell where the server listens, once it does."""
        super().listen_success(port)
        self._port = port
        # Before the first socket: a process that was killed is to be reaped.
        twisted_loop.call_soon(lambda: runtime().start())
        port.factory = OpeningFactory(self.http_factory, self.ws_factory, twisted_loop)
        if self._control:
            # daphne takes it for one of IPv4, and would misread other addresses.
            port.socket = socket.socket(fileno=port.socket.detach())
            port.fileno = port.socket.fileno
            # An adopted socket listens before the loop runs.
            twisted_loop.call_soon(self._report, self._control)
            return
        host = port.getHost()
        url = url_of(host.host, host.port)
        startup_check.announce()
        logger.info("Listening on %s", url)
        if settings.DEBUG:
            logger.info("Try it: %s/ is a demo, in as many windows as you like", url)
            logger.info("Tokens: DEBUG=1 %s manage.py beam_token user ada", _python())

    def _report(self, control: socket.socket) -> None:
        """Tell the supervisor; without it this process drains."""
        control.setblocking(False)
        control.send(READY)
        # It never writes: what can be read is its end.
        twisted_loop.add_reader(control, self._on_orphaned, control)

    def _on_orphaned(self, control: socket.socket) -> None:
        twisted_loop.remove_reader(control)
        logger.warning("The supervisor is gone")
        self._on_signal()

    def listen_error(self, failure: Any) -> None:
        """Say why the server cannot listen, and stop."""
        self.failed = True
        error = getattr(failure.value, "socketError", failure.value)
        logger.critical("%s", cannot_listen(*self._address, error))
        self.stop()

    def _on_signal(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_event_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Close every socket with 1012, in batches, then stop.

        New joins are refused and `/readyz` says so meanwhile. Bounded by
        `drain_seconds` and what a close handshake may take.
        """
        connections.draining = True
        everyone = connections.everyone()
        logger.info("Stopping: %d connections to close", len(everyone))
        try:
            await self._port.stopListening().asFuture(asyncio.get_event_loop())
            await self._close_all(everyone)
            await _in_time(self._all_gone(), CLOSE_SECONDS + 1)
            await _in_time(self._settle(), CLOSE_SECONDS)
        finally:
            await redis.close()
            self.stop()

    @staticmethod
    async def _settle() -> None:
        """Everybody's leave is told before this process is gone."""
        await background_tasks().finish()
        await diffs().flush()
        await runtime().stop()
        await hub().stop()

    async def _close_all(self, everyone: list[Any]) -> None:
        random.shuffle(everyone)
        size = conf().drain_batch
        batches = [everyone[at : at + size] for at in range(0, len(everyone), size)]
        # All of them within the limit, and none later than half a second.
        pause = min(0.5, conf().drain_seconds / max(1, len(batches)))
        for batch in batches:
            for consumer in batch:
                consumer.close(Close.RESTART)
            if batch is not batches[-1]:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311

    async def _all_gone(self) -> None:
        # daphne keeps times, not events; a look every 20 ms until the limit.
        while any("disconnected" not in known for known in self.connections.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def kill_all_applications(self) -> Any:
        """Cancel what still runs. daphne's own trips over half-open requests."""
        for details in self.connections.values():
            application = details.get("application_instance")
            if application is not None and not application.done():
                application.cancel()
