"""The WebSocket of the pages of Django admin: `/admin/live/websocket`.

Admins that are logged in and may view rooms join the channels of
`rooms.admin.live_view`.
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
from beam.telemetry.metrics import Counter
from rooms.admin.live_view import PATTERNS
from rooms.auth.grants import Identity
from rooms.channels.asgi_scope import handshake_of
from rooms.channels.consumer import Consumer
from rooms.channels.socket_channels import SocketChannels
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.observers import logged_out_event, observers
from rooms.protocol.close_codes import Close
from rooms.protocol.frame import Frame
from rooms.protocol.handshake import Handshake, Refused

# One is enough: an admin that may change rooms may also view them.
PERMISSIONS: Final = ("rooms.view_room", "rooms.change_room")
RECHECK_SECONDS: Final = 30.0
Session: Final = import_module(settings.SESSION_ENGINE).SessionStore


class ObserverConsumer(Consumer):
    """One admin's WebSocket, for as long as the admin is logged in and may watch."""

    _key: str
    _recheck: asyncio.TimerHandle | None = None

    async def authenticate(self, scope: Any) -> Handshake:
        """Accept the login of a session cookie, from a page of this origin."""
        if not _is_same_origin(scope):
            # Pages of other sites could use the admin's cookie.
            raise Refused("the page has another origin", "origin")
        handshake = handshake_of(scope, allowed=None)
        self._key = scope["session"].session_key or ""
        user = await self._user()
        if user is None:
            raise Refused("not logged in, or no permission to view rooms", "session")
        self.identity = Identity(f"admin:{user.get_username()}")
        return handshake

    async def _user(self) -> Any:
        """The admin, read from the database. None if logged out or not permitted."""
        # The session of the scope caches what it has read.
        scope: Any = {"session": Session(self._key)}
        user = await get_user(scope)
        return user if await database_sync_to_async(may_watch)(user) else None

    async def may_stay(self) -> bool:
        """Whether the admin is still logged in and may watch; closes if not."""
        if await self._user() is not None:
            return True
        self.close(Close.GOING_AWAY, "session")
        return False

    def make_channels(self, handshake: Handshake) -> SocketChannels:
        """The channels of observers."""
        return ObserverChannels(self, handshake)

    def opened(self) -> None:
        """Close the connection with its login, and check the login every 30 s."""
        observers().add(self, digest(self._key))
        self._recheck_later()

    def ended(self, reason: str, seconds: float) -> None:
        """Stop the checks."""
        observers().discard(self)
        if self._recheck is not None:
            self._recheck.cancel()

    def _recheck_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._recheck = loop.call_later(RECHECK_SECONDS, self._start_recheck)

    def _start_recheck(self) -> None:
        background_tasks().spawn(self._close_if_refused())

    async def _close_if_refused(self) -> None:
        # The next check will do if the database is unavailable.
        with suppress(DatabaseError):
            await self.may_stay()
        if not self.channels.is_closed:
            self._recheck_later()


class ObserverChannels(SocketChannels):
    """The joined channels of one observer: not in metrics, checked at each join."""

    __slots__ = ("_may_stay",)

    frames_in = Counter("observer_frames", "Frames of observers; not exported")
    joins = Counter("observer_joins", "Joins of observers; not exported")

    def __init__(self, consumer: ObserverConsumer, handshake: Handshake) -> None:
        super().__init__(consumer, handshake, PATTERNS)
        self._may_stay = consumer.may_stay

    async def join(self, frame: Frame) -> None:
        """Run a join if the admin may still watch; else the connection is closed."""
        if await self._may_stay():
            await super().join(frame)


def may_watch(user: Any) -> bool:
    """Whether a user may view rooms, by the rules of Django admin."""
    may = any(user.has_perm(permission) for permission in PERMISSIONS)
    return bool(user.is_active and user.is_staff and may)


def digest(session_key: str) -> str:
    """Identifies a login to other processes. It cannot be used to log in."""
    return sha256(session_key.encode()).hexdigest()


def _is_same_origin(scope: Any) -> bool:
    """Whether the page has this origin, by the rule of Django's CSRF check."""
    headers = dict(scope["headers"])
    if b"origin" not in headers:
        return False
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    asked = {**scope, "type": "http", "method": "GET", "scheme": scheme}
    request = ASGIRequest(asked, BytesIO())
    # Django has no public function for this rule.
    rule: Any = CsrfViewMiddleware(_unused)
    return bool(rule._origin_verified(request))


def _unused(request: Any) -> Any:
    raise NotImplementedError


def _publish_logout(request: Any, **_: Any) -> None:
    """Close the connections of a login that ended, in all processes."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key and isinstance(request, ASGIRequest):
        with suppress(Unavailable):
            async_to_sync(publisher.published)(logged_out_event(digest(key)))


user_logged_out.connect(_publish_logout)
admin_application = SessionMiddlewareStack(ObserverConsumer.as_asgi())
