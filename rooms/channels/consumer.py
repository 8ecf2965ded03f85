"""The life of one WebSocket: its connect request, `accept`, messages, and its end.

An ASGI application without a mailbox: the hub has the only one. On Beam's own
server an open connection has no task either.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from channels.consumer import AsyncConsumer
from django.db import Error as DatabaseError

from beam import redis
from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.auth.client_ip import counted_ip
from rooms.auth.grants import Identity
from rooms.channels.asgi_scope import Receive, client_ip_of, socket_of
from rooms.channels.refused_connect import deny
from rooms.channels.socket_channels import SocketChannels
from rooms.messaging.connections import connections
from rooms.messaging.outbound import CLOSED_BY_CLIENT, LOST, Socket
from rooms.monitoring import client_log
from rooms.protocol.close_codes import Close
from rooms.protocol.handshake import Handshake, Refused
from rooms.runtime import runtime

ORDERLY: Final = frozenset({1000, 1001, 1005})
"""Codes with which a client closes its connection of its own accord."""


class Consumer(AsyncConsumer):
    """One WebSocket that speaks Phoenix Channels.

    A subclass decides who may connect (`authenticate`, `check_limits`), which
    channels there are (`make_channels`), and what is recorded of the connection
    (`opened`, `ended`).
    """

    # An alias that names no layer: no mailbox for each connection.
    channel_layer_alias = ""

    identity: Identity
    address: str
    socket: Socket
    channels: SocketChannels
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, idle_timeout: float | None = None) -> None:
        """`idle_timeout`: in place of the setting of this name."""
        self._idle_timeout = idle_timeout or conf().idle_timeout

    async def authenticate(self, scope: Any) -> Handshake:
        """Check a connect request, and set `identity`. Raises `handshake.Refused`."""
        raise NotImplementedError

    def check_limits(self) -> None:
        """Raise `handshake.Refused` if there are too many connections."""

    def handshake_delay(self) -> float:
        """Seconds that the handshake waits; `check_limits` is called again then."""
        return 0.0

    def make_channels(self, handshake: Handshake) -> SocketChannels:
        """The channels of the connection, when it is accepted."""
        raise NotImplementedError

    def opened(self) -> None:
        """The connection was accepted."""

    def ended(self, reason: str, seconds: float) -> None:
        """The connection ended, after so many seconds. Called once."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection to its end."""
        await receive()  # websocket.connect
        try:
            handshake = await self.admit(scope)
            if delay := self.handshake_delay():
                metrics.DELAYED.count("connect")
                if not await _stays(receive, delay):
                    return
                self._check_limits()
        except Refused as refusal:
            await deny(scope, send, refusal)
            return
        await send({"type": "websocket.accept", "subprotocol": handshake.subprotocol})
        self.socket = socket_of(scope, send, handshake)
        self.channels = self.make_channels(handshake)
        await self._serve(receive)

    async def admit(self, scope: Any) -> Handshake:
        """Check a connect request and the limits. Raises `handshake.Refused`."""
        handshake = await self._authenticate(scope)
        self.address = counted_ip(client_ip_of(scope))
        self._check_limits()
        return handshake

    async def _authenticate(self, scope: Any) -> Handshake:
        """`authenticate`; if that fails, the request is refused as well."""
        try:
            return await self.authenticate(scope)
        except Refused:
            raise
        except (DatabaseError, redis.Unavailable, *redis.LIBRARY_ERRORS) as error:
            # A verifier may call Redis itself.
            message = f"a service is unavailable: {type(error).__name__}"
            raise Refused(message, "unavailable") from None
        except Exception as error:  # noqa: BLE001 - a verifier may raise anything
            client_log.crashed("A connect request could not be checked", error)
            raise Refused("it could not be checked", "failed") from None

    def _check_limits(self) -> None:
        if connections().is_draining:
            raise Refused("this process is stopping", "draining")
        self.check_limits()

    async def _serve(self, receive: Receive) -> None:
        """Returns at the end; on Beam's own server at once: no task per connection."""
        self._began = time.monotonic()
        self.opened()
        self._watch_idle()
        runtime().start()
        take = self.channels.inbound.receive
        if self.socket.listen(take, self._end):
            return
        note_received, reason = getattr(self.socket, "note_received", None), LOST
        try:
            while (message := await receive())["type"] == "websocket.receive":
                if note_received is not None:
                    note_received()
                data = message.get("text")
                wait = take(message["bytes"] if data is None else data)
                if wait:
                    await self.socket.pause(wait)
            reason = _reason_of(message.get("code"))
        finally:
            self._end(reason)

    def close(self, code: Close, reason: str = "") -> None:
        """End the connection: its channels at once, the socket by handshake.

        `reason`: for the log, if the code's name does not say enough.
        """
        self.socket.close(code)
        # A user that is disconnected by an admin or a backend gets no grace period.
        lost = code is not Close.GOING_AWAY
        self._end(reason or code.name.lower(), lost=lost)

    def _end(self, reason: str, *, lost: bool = True) -> None:
        """Release everything, once.

        Never awaits: it runs in a cancelled task too. `lost`: members may come
        back within their grace period.
        """
        if self.channels.is_closed:
            return
        seconds = time.monotonic() - self._began
        self.ended(reason, seconds)
        if self._timer is not None:
            self._timer.cancel()
        self.channels.close(lost=lost)
        client_log.connection_ended(
            self.identity.user_id, self.address, seconds, reason
        )

    def _watch_idle(self) -> None:
        """Close the socket if it was silent too long; else check again later."""
        left = self._idle_timeout - self.socket.idle_for()
        if left <= 0:
            self.close(Close.PROTOCOL_ERROR, "idle")
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(left + 0.001, self._watch_idle)


async def _stays(receive: Receive, seconds: float) -> bool:
    """Wait before the answer to a handshake; False: the client disconnected."""
    gone = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait({gone}, timeout=seconds)
    if done:
        return False
    gone.cancel()
    await asyncio.wait({gone})
    return True


def _reason_of(code: int | None) -> str:
    """The reason for the log, from the close code of another server."""
    if code in ORDERLY:
        return CLOSED_BY_CLIENT
    return Close(code).name.lower() if code in set(Close) else LOST
