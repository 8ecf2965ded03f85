"""The channels of the live view: the events of a room, the statistics of the service.

Observers are not present and not counted, and they can send nothing.
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
from rooms.protocol.reasons import Reason
from rooms.protocol.removal_event import REMOVE
from rooms.runtime import processes

BUSIEST: Final = 10


class Observer(Channel):
    """A channel of an admin: it receives the events of its topic and is not present."""

    async def subscribe(self) -> None:
        """Receive the events of the topic without becoming a member."""
        if self.stopped:
            raise Refused(Reason.UNAVAILABLE)
        await hub().attach_observer(self)


class RoomObserver(Observer):
    """The events that all members of a room receive; direct messages are not shown."""

    intercepts = frozenset({REMOVE})
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
        """Members were removed: the observer stays, and is notified."""
        self.push("beam_removed", payload)

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None]:
        """`room`: the process of each member, whether it is closed, backend events."""
        if event != "room":
            raise Refused(Reason.FORBIDDEN, "observers cannot send events")
        return self._room(ref)

    async def _room(self, ref: Any) -> None:
        # First: a record that is written to the store now is in both, not in neither.
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
        sent = _latest([*fresh, *kept])
        self.reply(ref, "ok", {"owners": named, "closed": closed, "sent": sent})


def _latest(records: Iterable[Record]) -> list[Record]:
    """Each record once, latest first."""
    once = {tuple(record.values()): record for record in records}
    return sorted(once.values(), key=itemgetter("at"), reverse=True)[:MAX_SENT]


class ServiceObserver(Observer):
    """The statistics of the service: 15 minutes of the past, then each report."""

    async def join(self, payload: Any) -> Any:
        """The past as sums up to the interval `next`, at which reports begin.

        Empty while Redis is unavailable; the page joins again afterwards.
        """
        now = time.time()
        points: list[Record] = []
        warnings: list[Record] = []
        there = False
        with suppress(Unavailable):
            await self.subscribe()
            points, warnings = await activity().reports(now)
            there = True
        # Some reports of the interval before this one may still be missing.
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
            raise Refused(Reason.FORBIDDEN, "the only event is top")
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


PATTERNS: Final = Patterns({"room:*": RoomObserver, LIVE_TOPIC: ServiceObserver})
