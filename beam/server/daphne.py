"""The server of one process: daphne with Beam's protocols, limits and drain.

Import this module before anything that imports Twisted's reactor.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

# Before anything that imports Twisted's reactor.
from beam.server.event_loop import twisted_loop  # isort: split

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from django.conf import settings

from beam import redis
from beam.config.conf import conf
from beam.config.environment import url_of
from beam.redis import startup_check
from beam.server import twisted_log
from beam.server.application_queue import ApplicationQueue
from beam.server.http import OpeningFactory
from beam.server.listening import BACKLOG, cannot_listen
from beam.server.server_process import READY
from beam.server.websocket import configured
from beam.server.websocket_output import CLOSE_SECONDS
from rooms.channels.refused_connect import HTTP_RESPONSE
from rooms.messaging.connections import connections
from rooms.messaging.observers import observers
from rooms.messaging.outbound import EXTENSION
from rooms.runtime import drain, runtime

logger = logging.getLogger(__name__)

NEVER = 10**9


def _collect_rarely() -> None:
    """Make the garbage collector look at live objects a tenth as often.

    With Python's own thresholds it takes a fifth of a join. Objects from the start
    of the process are left out: they live as long as it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _endpoint(host: str, port: int, listening: int | None) -> str:
    """Twisted's description of an address, or of a socket that listens already.

    Twisted's own backlog is 50: clients beyond it connect a second later, when
    their system tries again.
    """
    if listening is not None:
        return str(*build_endpoint_description_strings(file_descriptor=listening))
    [address] = build_endpoint_description_strings(host=host, port=port)
    return f"{address}:backlog={BACKLOG}"


def _python() -> str:
    """The path of the interpreter, relative if it is below the working directory."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd()) if Path.cwd() in path.parents else path)


async def _in_time(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Wait for a step of the drain up to a limit: the next step must run too."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        logger.warning("Some connections did not end in time")


class Server(DaphneServer):  # type: ignore[misc]
    """daphne's server with Beam's protocols, limits and drain."""

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
        # A close frame says why; a dropped connection does not.
        self.ws_factory.setProtocolOptions(
            failByDrop=False,
            closeHandshakeTimeout=CLOSE_SECONDS,
            # Every call sets it, by default to False.
            allowNullOrigin=True,
            # Autobahn gets whole requests only; daphne has a limit for the rest.
            openHandshakeTimeout=0,
        )
        self.ws_factory.protocol = configured(self.ws_factory)
        _collect_rarely()
        loop = asyncio.get_event_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Start an application; one for a WebSocket gets the frame writer."""
        if scope["type"] != "websocket":
            return super().create_application(protocol, scope)
        scope["extensions"] = {EXTENSION: protocol, HTTP_RESPONSE: {}}
        scope["asgi"] = {"version": "3.0"}
        queue = ApplicationQueue()
        send = partial(self.handle_reply, protocol)
        running = twisted_loop.create_task(self.application(scope, queue.get, send))
        self.connections[protocol]["application_instance"] = running
        return queue

    def listen_success(self, port: Any) -> None:
        """Start the runtime, and log or report that the server listens."""
        super().listen_success(port)
        self._port = port
        # Before the first connection: it reaps processes that were killed.
        twisted_loop.call_soon(lambda: runtime().start())
        port.factory = OpeningFactory(self.http_factory, self.ws_factory, twisted_loop)
        if self._control:
            # daphne treats it as an IPv4 socket, and would misread other addresses.
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
        """Report to the supervisor that this process listens; drain when it ends."""
        control.setblocking(False)
        control.send(READY)
        # The supervisor never writes: the pipe can only be read at its end.
        twisted_loop.add_reader(control, self._on_orphaned, control)

    def _on_orphaned(self, control: socket.socket) -> None:
        twisted_loop.remove_reader(control)
        logger.warning("The supervisor has ended: draining")
        self._on_signal()

    def listen_error(self, failure: Any) -> None:
        """Log why the server cannot listen, and stop."""
        self.failed = True
        error = getattr(failure.value, "socketError", failure.value)
        logger.critical("%s", cannot_listen(*self._address, error))
        self.stop()

    def _on_signal(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_event_loop().create_task(self._drain())

    async def _drain(self) -> None:
        """Close every socket with 1012, in batches, then stop.

        Until then new joins are refused, and `/readyz` reports it. It takes at most
        `drain_seconds` and the time of a close handshake.
        """
        connections().drain()
        everyone = [*connections().everyone(), *observers().everyone()]
        logger.info("Stopping: %d connections to close", len(everyone))
        try:
            await self._port.stopListening().asFuture(asyncio.get_event_loop())
            await drain.close_all(everyone)
            await _in_time(self._all_gone(), CLOSE_SECONDS + 1)
            await _in_time(runtime().stop(), CLOSE_SECONDS)
        finally:
            await redis.close()
            self.stop()

    async def _all_gone(self) -> None:
        # daphne records times and has no event to wait for.
        while any("disconnected" not in known for known in self.connections.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def kill_all_applications(self) -> Any:
        """Cancel all applications. A half-open request has none: daphne would raise."""
        for details in self.connections.values():
            application = details.get("application_instance")
            if application is not None and not application.done():
                application.cancel()
