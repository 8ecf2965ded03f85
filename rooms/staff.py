"""Owns the WebSocket door of admins: they watch, by Django's own session.

`/admin/live/websocket` is for the pages of Django admin. Who is logged in there
and may view rooms hears what a room's members hear, and how the service does.
Nobody is seen by watching, and nothing can be sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from hashlib import sha256
from importlib import import_module
from io import BytesIO
from operator import itemgetter
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

from beam.redis import RedisError
from presence import gate
from presence.backend import tracker
from presence.state import State
from rooms import address, relay
from rooms.activity import MAX_SENT, Record, activity, gathered
from rooms.channel import Channel, Refused
from rooms.connections import logged_out_event
from rooms.consumer import Receive, SocketConsumer, negotiated
from rooms.grants import Identity
from rooms.handshake import Handshake
from rooms.handshake import Refused as HandshakeRefused
from rooms.hub import hub
from rooms.keeper import processes
from rooms.patterns import Patterns
from rooms.pulse import LIVE_TOPIC, TELL_SECONDS
from rooms.removal import REMOVE
from rooms.steps import recent, step_of, sums
from rooms.wire import Close, Frame, Reason

# One of them is enough: whoever may change rooms may look at them.
PERMISSIONS: Final = ("rooms.view_room", "rooms.change_room")
RECHECK_SECONDS: Final = 30.0
Session: Final = import_module(settings.SESSION_ENGINE).SessionStore
BUSIEST: Final = 10


class Watch(Channel):
    """A room as its members hear it; direct messages are not shown."""

    intercepts = frozenset({REMOVE})
    counts = False
    _state: State

    async def join(self, payload: Any) -> Any:
        try:
            address.room_topic(self.topic.removeprefix("room:"))
            await self.subscribe()
            before = await tracker().list(self.topic)
        except ValueError as error:
            raise Refused(Reason.INVALID_ROOM_ID, str(error)) from None
        except (RedisError, OSError):
            raise Refused(Reason.UNAVAILABLE) from None
        self.since, self._state = before.version, before.state
        return {"now": time.time()}

    async def joined(self) -> None:
        self.push("presence_state", self._state)
        del self._state
        hub().knows(self.topic, self.since)

    def intercepted(self, event: str, payload: Any) -> None:
        """Members were removed; who watches stays, and is told."""
        self.push("beam_removed", payload)

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None]:
        """`room`: who holds each member, whether it is closed, what was sent."""
        if event != "room":
            raise Refused(Reason.FORBIDDEN, "who watches does not talk")
        return self._room(ref)

    async def _room(self, ref: Any) -> None:
        # First: what is added up meanwhile is in both, not in neither.
        fresh = list(gathered.sent.get(self.topic, ()))
        try:
            holders = await tracker().holders(self.topic)
            known = {one["id"]: one for one in await processes()}
            closed = await tracker().is_shut(self.topic, gate.EVERYBODY)
            kept = await activity().sent(self.topic)
        except (RedisError, OSError):
            raise Refused(Reason.UNAVAILABLE) from None
        named = {
            entry: f"{known[id_]['host']} #{known[id_]['pid']}"
            for entry, id_ in holders.items()
            if id_ in known
        }
        sent = _newest([*fresh, *kept])
        self.reply(ref, "ok", {"owners": named, "closed": closed, "sent": sent})


def _newest(records: Iterable[Record]) -> list[Record]:
    """Each once, newest first."""
    once = {tuple(record.values()): record for record in records}
    return sorted(once.values(), key=itemgetter("at"), reverse=True)[:MAX_SENT]


class Live(Channel):
    """How the service does: the last quarter of an hour, and then what comes."""

    counts = False

    async def join(self, payload: Any) -> Any:
        """The past as sums up to the step `next`, which points go on from.

        While Redis is away nothing is known; the page joins again afterwards.
        """
        now = time.time()
        points: list[Record] = []
        warnings: list[Record] = []
        there = False
        with suppress(RedisError, OSError):
            await self.subscribe()
            points, warnings = await activity().told(now)
            there = True
        # Of the step before this one some may not have been told yet.
        following = step_of(now, TELL_SECONDS) - 1
        return {
            "steps": sums(points, following, TELL_SECONDS),
            "next": following,
            "points": recent(points, following, TELL_SECONDS),
            "warnings": warnings,
            "now": now,
            "redis": there,
        }

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None]:
        """`top`: processes and the busiest rooms, now."""
        if event != "top":
            raise Refused(Reason.FORBIDDEN, "ask for top")
        return self._top(ref)

    async def _top(self, ref: Any) -> None:
        try:
            found = await activity().busiest(BUSIEST, time.time())
            topics = [topic for topic, _ in found]
            sizes = await tracker().sizes(topics)
            live = await processes()
        except (RedisError, OSError):
            raise Refused(Reason.UNAVAILABLE) from None
        rooms = [
            {
                "room_id": topic.removeprefix("room:"),
                "per_minute": rate,
                "sessions": size.entries,
                "users": size.groups,
            }
            for (topic, rate), size in zip(found, sizes, strict=True)
        ]
        self.reply(ref, "ok", {"rooms": rooms, "processes": live})


PATTERNS: Final = Patterns({"room:*": Watch, LIVE_TOPIC: Live})


class StaffConsumer(SocketConsumer):
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
        hub().spawn(self._leave_if_refused())

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

    def _end(self, reason: str) -> None:
        if self._recheck is not None:
            self._recheck.cancel()
        super()._end(reason)


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
        with suppress(RedisError, OSError, relay.Unavailable):
            async_to_sync(relay.published)(logged_out_event(digest(key)))


user_logged_out.connect(_tell_logout)
staff_application = SessionMiddlewareStack(StaffConsumer.as_asgi())
