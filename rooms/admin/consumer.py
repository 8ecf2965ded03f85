"""Owns the WebSocket door of admins: they watch, by Django's own session.

`/admin/live/websocket` is for the pages of Django admin. Who is logged in there
and may view rooms hears what `rooms.admin.channels` tells.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseError
from django.middleware.csrf import CsrfViewMiddleware

from beam.redis import Unavailable
from rooms.admin.channels import PATTERNS
from rooms.auth.grants import Identity
from rooms.channels.consumer import Receive, SocketConsumer, negotiated
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import logged_out_event
from rooms.protocol.handshake import Handshake
from rooms.protocol.handshake import Refused as HandshakeRefused
from rooms.protocol.messages import Close, Frame

# One of them is enough: whoever may change rooms may look at them.
PERMISSIONS: Final = ("rooms.view_room", "rooms.change_room")
RECHECK_SECONDS: Final = 30.0
Session: Final = import_module(settings.SESSION_ENGINE).SessionStore


class AdminConsumer(SocketConsumer):
    """One admin's WebSocket, for as long as the admin is logged in and may watch."""

    counts = False
    _key: str
    _recheck: asyncio.TimerHandle | None = None

    def __init__(self, idle_timeout: float | None = None) -> None:
        super().__init__(idle_timeout)
        self._patterns = PATTERNS

    async def authenticate(self, scope: Any) -> Handshake:
        """By the session's cookie, from a page of the admin's own origin."""
        if not _is_from_here(scope):
            # Any other page could use the admin's cookie too.
            raise HandshakeRefused("a page of another origin", "origin")
        shake = negotiated(scope, allowed=None)
        self._key = scope["session"].session_key or ""
        self.session = digest(self._key)
        user = await self._user()
        if user is None:
            raise HandshakeRefused("nobody who may watch", "session")
        self.identity = Identity(f"admin:{user.get_username()}")
        return shake

    async def _user(self) -> Any:
        """Who is logged in and may watch, as the database says now; None: nobody."""
        # Read anew: the scope's own keeps what it once read.
        scope: Any = {"session": Session(self._key)}
        user = await get_user(scope)
        return user if await database_sync_to_async(may_watch)(user) else None

    async def _serve(self, receive: Receive) -> None:
        self._look_later()
        await super()._serve(receive)

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._recheck = loop.call_later(RECHECK_SECONDS, self._look)

    def _look(self) -> None:
        background_tasks().spawn(self._leave_if_refused())

    async def _leave_if_refused(self) -> None:
        with suppress(DatabaseError):
            # Else: the next look tells.
            if await self._user() is None:
                self.close(Close.GOING_AWAY, "session")
        if not self._ended:
            self._look_later()

    async def _join(self, frame: Frame) -> None:
        if await self._user() is not None:
            await super()._join(frame)
        else:
            self.close(Close.GOING_AWAY, "session")

    def _end(self, reason: str, *, lost: bool = True) -> None:
        if self._recheck is not None:
            self._recheck.cancel()
        super()._end(reason, lost=lost)


def may_watch(user: Any) -> bool:
    """Whether somebody may view rooms, as Django admin judges it."""
    may = any(user.has_perm(permission) for permission in PERMISSIONS)
    return bool(user.is_active and user.is_staff and may)


def digest(session_key: str) -> str:
    """A login, told to other processes without what would let somebody in."""
    return sha256(session_key.encode()).hexdigest()


def _is_from_here(scope: Any) -> bool:
    """Whether a page may ask, by the rule of Django's forms."""
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return False
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    asked = {**scope, "type": "http", "method": "GET", "scheme": scheme}
    request = ASGIRequest(asked, BytesIO())
    # Forms are judged by no public name.
    rule: Any = CsrfViewMiddleware(_unused)
    return bool(rule._origin_verified(request))


def _unused(request: Any) -> Any:
    raise NotImplementedError


def _tell_logout(request: Any, **_: Any) -> None:
    """End what an admin watches with the login, in every process."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key and isinstance(request, ASGIRequest):
        with suppress(Unavailable):
            async_to_sync(publisher.published)(logged_out_event(digest(key)))


user_logged_out.connect(_tell_logout)
admin_application = SessionMiddlewareStack(AdminConsumer.as_asgi())
