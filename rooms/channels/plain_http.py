"""Answers plain HTTP requests of the WebSocket path."""

from __future__ import annotations

from typing import Any

from rooms.channels.client_consumer import ClientConsumer
from rooms.channels.refused_connect import count_refusal, respond
from rooms.protocol.handshake import Refused


async def plain_http(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the status that a handshake would be refused with, else 400."""
    status, body, headers = 400, b"", []
    if scope["method"] == "GET":
        try:
            await ClientConsumer().admit(scope)
            body = b"this is a WebSocket endpoint"
        except Refused as refusal:
            count_refusal(scope, refusal)
            status, headers = refusal.status, refusal.headers
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await respond(send, status, body, [kind, *headers], "http.response")
