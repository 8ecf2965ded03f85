"""Answers connect requests that are refused, and the WebSocket path over HTTP."""

from __future__ import annotations

from typing import Any, Final

from beam.telemetry import metrics
from rooms.channels.asgi_scope import client_ip_of
from rooms.monitoring import client_log
from rooms.protocol.handshake import Refused

HTTP_RESPONSE: Final = "websocket.http.response"


async def deny(scope: Any, send: Any, refusal: Refused) -> None:
    """Refuse a handshake, with its status if the server can send one, else 403."""
    count_refusal(scope, refusal)
    if HTTP_RESPONSE not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close"})
        return
    await respond(send, refusal.status, b"", refusal.headers, HTTP_RESPONSE)


def count_refusal(scope: Any, refusal: Refused) -> None:
    """Count a refused connect request, and log it."""
    metrics.REFUSED.count(refusal.reason)
    client_log.connect_refused(refusal.reason, str(refusal), client_ip_of(scope))


async def respond(
    send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]], kind: str
) -> None:
    """Send an HTTP response. `kind`: the prefix of the ASGI message types."""
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
