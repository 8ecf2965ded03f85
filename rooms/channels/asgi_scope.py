"""Reads the ASGI scope of a connect request: params, client IP, kind of socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from beam.config.conf import conf
from rooms.auth.client_ip import client_ip
from rooms.messaging.asgi_socket import AsgiSocket
from rooms.messaging.outbound import EXTENSION, Socket
from rooms.messaging.prepared_socket import PreparedSocket
from rooms.protocol.handshake import Handshake, negotiate

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def handshake_of(scope: Any, allowed: tuple[str, ...] | None) -> Handshake:
    """The handshake of a request; `allowed`: origins. Raises `handshake.Refused`."""
    headers: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name, value.decode("latin-1"))
    offered = scope.get("subprotocols") or []
    if not offered and (raw := headers.get(b"sec-websocket-protocol")):
        offered = [item.strip() for item in raw.split(",")]
    return negotiate(
        scope["query_string"],
        list(offered),
        headers.get(b"origin"),
        headers.get(b"host", ""),
        allowed,
    )


def client_ip_of(scope: Any) -> str:
    """The client IP of a request: see `rooms.auth.client_ip`."""
    peer = (scope.get("client") or ("",))[0]
    found = (v for name, v in scope["headers"] if name == b"x-forwarded-for")
    return client_ip(str(peer), b",".join(found).decode("latin-1"))


def socket_of(scope: Any, send: Send, handshake: Handshake) -> Socket:
    """The output of an accepted connection, by what the server offers."""
    if (writer := scope.get("extensions", {}).get(EXTENSION)) is not None:
        return PreparedSocket(writer, handshake.vsn)
    limit, seconds = conf().outbound_limit, conf().outbound_seconds
    return AsgiSocket(send, handshake.vsn, limit, seconds)
