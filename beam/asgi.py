"""Owns what the server serves: HTTP by Django, WebSockets by the consumers.

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

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

from beam import commandline

with commandline.reported():
    http = get_asgi_application()

from beam import metrics
from beam.conf import check_settings
from beam.handler import ApiHandler
from beam.logs import Send, identify
from rooms.consumer import SocketConsumer, plain_http
from rooms.staff import staff_application

logger = logging.getLogger(__name__)

API = "/api/v1/"
# Asked by machines, by address: no check of a host, no session.
PROBES = frozenset({"/metrics", "/healthz", "/readyz"})
_SLASHES = re.compile("/+")
COUNTED = {
    **dict.fromkeys((400, 403), metrics.PAGES_REFUSED),
    500: metrics.PAGES_FAILED,
}


class Application:
    """Sockets at their mounts, all else to Django.

    A mount `/socket` answers at `/socket/websocket`, with doubled or trailing
    slashes too (section 1.1 of the wire protocol).
    """

    def __init__(self, mounts: Mapping[str, Any]) -> None:
        self._sockets = {f"{mount}/websocket": app for mount, app in mounts.items()}
        self._api = ApiHandler()
        # The pages are few, and their files are small: no web server is needed.
        self._http = ASGIStaticFilesHandler(http)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        path = _SLASHES.sub("/", scope["path"]).rstrip("/")
        socket = self._sockets.get(path)
        if scope["type"] == "http":
            send = identify(scope, send)
            if path.startswith(API) or path in PROBES:
                app: Any = self._api
            elif socket is not None:
                app = plain_http
            else:
                app, send = self._http, _counting(send)
            await app(_with_segments(scope), receive, send)
        elif socket is not None:
            await socket(scope, receive, send)
        else:
            await receive()
            metrics.REFUSED.count("path")
            await send({"type": "websocket.close"})


def _counting(send: Send) -> Send:
    """Count what pages answer with a refusal, or with a failure."""

    async def count(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            counter = COUNTED.get(message["status"])
            if counter is not None:
                counter.value += 1
        await send(message)

    return count


def _with_segments(scope: Any) -> Any:
    """Let an id in a path of the API have slashes: they stay encoded in `path`.

    So do percent signs; `rooms.urls` decodes both. What is no UTF-8 leads nowhere.
    """
    raw = scope.get("raw_path")
    if not raw or b"%" not in raw or not scope["path"].startswith(API):
        return scope
    try:
        segments = [
            unquote(part.decode("ascii"), errors="strict") for part in raw.split(b"/")
        ]
    except UnicodeError:
        return scope | {"path": API}
    path = "/".join(s.replace("%", "%25").replace("/", "%2F") for s in segments)
    return scope | {"path": path}


def _check_settings() -> None:
    """Raises `ImproperlyConfigured`; warnings are logged.

    `manage.py` does both by itself; other servers import this module only.
    """
    commandline.refuse_wrong_settings()
    if "beam.server" not in sys.modules:
        for check in check_settings():
            logger.warning("%s", commandline.line_of(check))


async def _lifespan(receive: Any, send: Any) -> None:
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


with commandline.reported():
    _check_settings()
application = Application(
    {"/socket": SocketConsumer.as_asgi(), "/admin/live": staff_application}
)
