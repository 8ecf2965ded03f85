"""The server of one process: daphne with Beam's protocols and limits.

Import this module before anything that imports Twisted's reactor.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

# Before anything that imports Twisted's reactor.
from beam.server.event_loop import twisted_loop  # isort: split

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server as DaphneServer
from django.conf import settings

from beam.config.conf import conf
from beam.config.environment import url_of
from beam.redis import startup_check
from beam.server import twisted_log
from beam.server.application_queue import ApplicationQueue
from beam.server.http import OpeningFactory
from beam.server.listening import BACKLOG, cannot_listen
from beam.server.server_process import READY
from beam.server.shutdown import Shutdown
from beam.server.websocket import configured
from beam.server.websocket_output import CLOSE_SECONDS
from rooms.channels.refused_connect import HTTP_RESPONSE
from rooms.messaging.outbound import EXTENSION
from rooms.runtime import runtime

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


class Server(DaphneServer):  # type: ignore[misc]
    """daphne's server with Beam's protocols and limits."""

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
        self._shutdown = Shutdown(self, CLOSE_SECONDS)
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
            loop.add_signal_handler(number, self._shutdown.begin)

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
        self._shutdown.begin()

    def listen_error(self, failure: Any) -> None:
        """Log why the server cannot listen, and stop."""
        self.failed = True
        error = getattr(failure.value, "socketError", failure.value)
        logger.critical("%s", cannot_listen(*self._address, error))
        self.stop()

    async def stop_listening(self) -> None:
        """Accept no more connections."""
        await self._port.stopListening().asFuture(asyncio.get_event_loop())

    def kill_all_applications(self) -> Any:
        """Cancel all applications. A half-open request has none: daphne would raise."""
        for details in self.connections.values():
            application = details.get("application_instance")
            if application is not None and not application.done():
                application.cancel()
