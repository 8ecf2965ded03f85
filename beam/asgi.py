"""The ASGI application: HTTP is served by Django, WebSockets by consumers.

`daphne beam.asgi:application` and any other ASGI server serve Beam correctly.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beam.settings")

from django import setup

from beam.config import command_line

with command_line.reported():
    setup(set_prefix=False)

from beam.config.checks import check_settings
from beam.server.api_handler import ApiHandler
from beam.server.page_handler import PageHandler, StaticFiles
from beam.telemetry import metrics
from beam.telemetry.logs import Send, identify
from rooms.admin.consumer import admin_application
from rooms.channels.client_consumer import ClientConsumer
from rooms.channels.plain_http import plain_http
from rooms.channels.refused_connect import deny
from rooms.protocol.handshake import Refused

logger = logging.getLogger(__name__)

API = "/api/v1/"
# For monitoring, which calls by IP address: no check of the host, no session.
PROBES = frozenset({"/metrics", "/healthz", "/readyz"})
DESCRIPTION = frozenset({"/api/schema", "/api/docs"})
_SLASHES = re.compile("/+")
# An id follows these segments: there, an empty segment is an empty id.
_BEFORE_IDS = (["api", "v1", "rooms"], ["api", "v1", "users"])
COUNTED = {
    **dict.fromkeys((400, 403), metrics.PAGES_REFUSED),
    500: metrics.PAGES_FAILED,
}


class Application:
    """Routes WebSockets to their consumers, and everything else to Django.

    A mount `/socket` is served at `/socket/websocket`, with doubled or trailing
    slashes, too (section 1.1 of the wire protocol).
    """

    def __init__(self, mounts: Mapping[str, Any]) -> None:
        self._sockets = {f"{mount}/websocket": app for mount, app in mounts.items()}
        self._api = ApiHandler()
        # There are few pages with small files: no web server is needed for them.
        self._http: Any = StaticFiles(PageHandler())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path = _SLASHES.sub("/", scope["path"]).rstrip("/")
        socket = self._sockets.get(path)
        if scope["type"] == "http":
            await self._answer(scope, receive, identify(scope, send), path)
        elif socket is not None:
            await socket(scope, receive, send)
        else:
            await receive()
            why = f"there is no socket at {path[:100]!r}; clients connect to /socket"
            await deny(scope, send, Refused(why, "path"))

    async def _answer(self, scope: Any, receive: Any, send: Send, path: str) -> None:
        """Serve one HTTP request. `path`: without doubled and trailing slashes."""
        if scope["method"] == "HEAD":
            send = _without_body(send)
        if f"{path}/".startswith(API):
            await self._api(_routed(scope), receive, send)
        elif path in PROBES:
            await self._api(scope | {"path": path}, receive, send)
        elif path in self._sockets:
            await plain_http(scope, receive, send)
        elif path in DESCRIPTION:
            await self._http(scope | {"path": path}, receive, _counting(send))
        else:
            await self._http(scope, receive, _counting(send))


def _without_body(send: Send) -> Send:
    """Send status and headers only, for HEAD."""

    async def drop(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            message = message | {"body": b""}
        await send(message)

    return drop


def _counting(send: Send) -> Send:
    """Count pages that are refused or fail."""

    async def count(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            counter = COUNTED.get(message["status"])
            if counter is not None:
                counter.value += 1
        await send(message)

    return count


def _routed(scope: Any) -> Any:
    """The scope of an API request, with a path for `rooms.urls`.

    Slashes and percent signs in ids stay encoded; `rooms.urls` decodes them. A path
    that is not UTF-8 is not found. Doubled and trailing slashes are removed, unless
    they stand for an empty id.
    """
    raw = scope.get("raw_path") or b""
    if b"%" not in raw:
        path = scope["path"]
        if "//" not in path and not path.endswith("/"):
            return scope
        return scope | {"path": _path_of(path.split("/"))}
    try:
        segments = [
            unquote(part.decode("ascii"), errors="strict") for part in raw.split(b"/")
        ]
    except UnicodeError:
        return scope | {"path": API}
    encoded = [s.replace("%", "%25").replace("/", "%2F") for s in segments]
    return scope | {"path": _path_of(encoded)}


def _path_of(segments: list[str]) -> str:
    kept: list[str] = []
    for segment in segments:
        if segment or kept in _BEFORE_IDS:
            kept.append(segment)
    while kept and not kept[-1]:
        kept.pop()
    return "/" + "/".join(kept)


def _check_settings() -> None:
    """Log warnings. Raises `ImproperlyConfigured` for errors.

    For other servers, which import only this module; `manage.py` does the same.
    """
    command_line.refuse_wrong_settings()
    if "beam.server.daphne" not in sys.modules:
        for check in check_settings():
            logger.warning("%s", command_line.line_of(check))


async def _lifespan(receive: Any, send: Any) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


with command_line.reported():
    _check_settings()
application = Application(
    {"/socket": ClientConsumer.as_asgi(), "/admin/live": admin_application}
)
