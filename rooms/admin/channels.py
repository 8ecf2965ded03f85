"""Owns what admins watch: a room as its members hear it, and how the service does.

Nobody is seen by watching, and nothing can be sent.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from operator import itemgetter
from typing import Any, Final

from beam.redis import Unavailable
from presence import admission
from presence.factory import tracker
from presence.state import State
from rooms.admin.time_series import interval_of, recent, sums
from rooms.channels.channel import Channel
from rooms.channels.results import Refused
from rooms.channels.router import Patterns
from rooms.messaging.hub import hub
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.monitoring.activity_records import MAX_SENT, Record
from rooms.monitoring.reporter import LIVE_TOPIC, REPORT_SECONDS
from rooms.protocol import identifiers
from rooms.protocol.messages import Reason
from rooms.protocol.removal import REMOVE
from rooms.runtime import processes

BUSIEST: Final = 10


class Watch(Channel):
    """A room as its members hear it; direct messages are not shown."""

    intercepts = frozenset({REMOVE})
    counts = False
    _state: State

    async def join(self, payload: Any) -> Any:
        try:
            identifiers.room_topic(self.topic.removeprefix("room:"))
            await self.subscribe()
            before = await tracker().list(self.topic)
        except ValueError as error:
            raise Refused(Reason.INVALID_ROOM_ID, str(error)) from None
        except Unavailable:
            raise Refused(Reason.UNAVAILABLE) from None
        self.since, self._state = before.version, before.state
        return {"now": time.time()}

    async def joined(self) -> None:
        self.push_state(self._state)
        del self._state
        hub().note_state(self.topic, self.since)

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
        fresh = list(activity_buffer.sent.get(self.topic, ()))
        try:
            owners = await tracker().owners(self.topic)
            known = {one["id"]: one for one in await processes()}
            closed = await tracker().is_banned(self.topic, admission.EVERYONE)
            kept = await activity().sent(self.topic)
        except Unavailable:
            raise Refused(Reason.UNAVAILABLE) from None
        named = {
            entry: f"{known[id_]['host']} #{known[id_]['pid']}"
            for entry, id_ in owners.items()
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
        with suppress(Unavailable):
            await self.subscribe()
            points, warnings = await activity().reports(now)
            there = True
        # Of the step before this one some may not have been told yet.
        following = interval_of(now, REPORT_SECONDS) - 1
        return {
            "steps": sums(points, following, REPORT_SECONDS),
            "next": following,
            "points": recent(points, following, REPORT_SECONDS),
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
        except Unavailable:
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
