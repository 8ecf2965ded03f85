"""Owns the WebSocket door of admins: they watch, by Django's own session.

`/admin/live/websocket` is for the pages of Django admin. Who is logged in there
and may view rooms hears what a room's members hear, and how the service does.
Nobody is seen by watching, and nothing can be sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable
from operator import itemgetter
from typing import Any, Final

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async

from beam.redis import RedisError
from presence import gate
from presence.backend import tracker
from presence.state import State
from rooms import address
from rooms.activity import MAX_SENT, Record, activity, gathered
from rooms.channel import Channel, Refused
from rooms.consumer import SocketConsumer, negotiated
from rooms.grants import Identity
from rooms.handshake import Handshake
from rooms.handshake import Refused as HandshakeRefused
from rooms.hub import hub
from rooms.keeper import processes
from rooms.patterns import Patterns
from rooms.pulse import LIVE_TOPIC
from rooms.removal import REMOVE
from rooms.wire import Reason

PERMISSION: Final = "rooms.view_room"
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
        try:
            await self.subscribe()
            points, warnings = await activity().told(time.time())
        except (RedisError, OSError):
            raise Refused(Reason.UNAVAILABLE) from None
        return {"points": points, "warnings": warnings}

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
    """One admin's WebSocket."""

    def __init__(self, idle_timeout: float | None = None) -> None:
        super().__init__(idle_timeout)
        self._patterns = PATTERNS

    async def authenticate(self, scope: Any) -> Handshake:
        """By the session's cookie, from a page of this host."""
        # Any other page could use the admin's cookie too.
        shake = negotiated(scope, allowed=())
        user = scope["user"]
        if not await database_sync_to_async(_may_watch)(user):
            raise HandshakeRefused("nobody who may watch", "session")
        self.identity = Identity(f"admin:{user.get_username()}")
        return shake


def _may_watch(user: Any) -> bool:
    return bool(user.is_active and user.is_staff and user.has_perm(PERMISSION))


staff_application = AuthMiddlewareStack(StaffConsumer.as_asgi())
