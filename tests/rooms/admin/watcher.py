"""The WebSocket of an admin's page, as tests open it."""

from __future__ import annotations

from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings
from django.test import AsyncClient

from beam.asgi import application
from tests.clients import Client

PATH = "/admin/live/websocket?vsn=2.0.0"


class Watcher(Client):
    """The WebSocket of a page, with the login of a Django test client."""

    def __init__(self, http: AsyncClient, origin: str = "http://beam") -> None:
        super().__init__("admin")
        cookie = http.cookies.get(django_settings.SESSION_COOKIE_NAME)
        headers = [(b"host", b"beam")]
        if origin:
            headers.append((b"origin", origin.encode()))
        if cookie is not None:
            headers.append((b"cookie", f"{cookie.key}={cookie.value}".encode()))
        self.wire = WebsocketCommunicator(application, PATH, headers)


async def watching(http: AsyncClient, topic: str) -> Watcher:
    """A `Watcher` that has joined a topic."""
    watcher = Watcher(http)
    await watcher.connect()
    reply = await watcher.ask(topic, "phx_join", {})
    assert reply["status"] == "ok", reply
    return watcher
