"""Admits clients: user tokens, limits per user and client IP, failing clients."""

from __future__ import annotations

import time
from typing import Any, Final

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.auth import grants, verifier
from rooms.channels.asgi_scope import handshake_of
from rooms.channels.consumer import Consumer
from rooms.channels.router import patterns
from rooms.channels.socket_channels import SocketChannels
from rooms.messaging.connections import connections
from rooms.protocol.close_codes import Close
from rooms.protocol.handshake import Handshake, Refused

FAILURES: Final = frozenset(
    {
        "failed",
        *(
            code.name.lower()
            for code in Close
            if code not in (Close.GOING_AWAY, Close.RESTART)
        ),
    }
)
"""Ends that the client caused. If they come soon, it will probably repeat them."""

SOON: Final = 10.0
"""Seconds after its start in which the end of a connection counts as a failure."""


class ClientConsumer(Consumer):
    """One WebSocket of a client."""

    async def authenticate(self, scope: Any) -> Handshake:
        """Check the user token of a connect request, and set `identity`."""
        handshake = handshake_of(scope, conf().allowed_origins)
        token = handshake.params.get("user_token") or handshake.auth_token
        try:
            self.identity = await verifier.identify(token)
        except grants.Unauthorized as refusal:
            raise Refused(str(refusal), "token") from None
        except grants.BackendUnavailable:
            raise Refused("the backend is unavailable", "unavailable") from None
        return handshake

    def check_limits(self) -> None:
        """Raise `handshake.Refused` if the user or the client IP has too many."""
        if not connections().has_room(self):
            metrics.CONNECTIONS_LIMITED.value += 1
            raise Refused("too many connections of a user or a client IP", "limit")

    def handshake_delay(self) -> float:
        """Seconds to wait if recent connections of this client failed.

        Clients try again at once after a handshake that was accepted.
        """
        return connections().delay(self, time.monotonic())

    def make_channels(self, handshake: Handshake) -> SocketChannels:
        """Beam's channels, and those of the project."""
        return SocketChannels(self, handshake, patterns())

    def opened(self) -> None:
        """Count the connection; it can be found by its user."""
        connections().add(self)
        metrics.CONNECTED.value += 1

    def ended(self, reason: str, seconds: float) -> None:
        """Count the end, and remember a connection that failed soon."""
        connections().discard(self)
        metrics.CLOSED.count(reason)
        if reason in FAILURES and seconds < SOON:
            connections().note_failure(self, time.monotonic())
