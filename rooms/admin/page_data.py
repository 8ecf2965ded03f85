"""The numbers and members on the pages of the admin, which run in threads.

The live view gets its data over WebSocket: see `rooms.admin.live_view`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest

from beam.redis import Unavailable
from presence import topic_index
from presence.factory import tracker
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_records import Record
from rooms.protocol.identifiers import room_topic

NO_DATA = "Redis is unavailable: no live data, and rooms cannot be moderated."
NOT_DONE = "Redis is unavailable: nothing was done."
NOT_SENT = "Redis is unavailable: other processes apply the change within a minute."
_REPORTED = "_redis_reported"
PREFIX = "room:"
PAGE = 1_000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RoomStats:
    """The live numbers of a room. None if Redis is unavailable."""

    sessions: int | None = None
    users: int | None = None
    per_minute: float | None = None


UNKNOWN: Final = RoomStats()


@dataclass(frozen=True, slots=True)
class RoomDetails:
    """The members of a room, and recent events of backends, latest first."""

    members: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)


def run(
    request: HttpRequest, work: Callable[[], Awaitable[Answer]], error: str = NO_DATA
) -> Answer | None:
    """Run `work` in an event loop and return its result.

    None if Redis is unavailable; the page then shows `error`, once per request.
    """
    try:
        return async_to_sync(work)()
    except Unavailable:
        if not getattr(request, _REPORTED, False):
            messages.error(request, error)
            setattr(request, _REPORTED, True)
        return None


async def room_stats(room_ids: Sequence[str]) -> dict[str, RoomStats]:
    """The numbers of all these rooms, with two requests to Redis."""
    topics = [room_topic(room_id) for room_id in room_ids]
    sizes = await tracker().sizes(topics) if topics else []
    rates = await activity().per_minute(topics, time.time())
    return {
        room_id: RoomStats(size.entries, size.groups, rate)
        for room_id, size, rate in zip(room_ids, sizes, rates, strict=True)
    }


async def live_room_ids() -> list[str]:
    """All rooms that have members."""
    found: list[str] = []
    after = ""
    while True:
        page = await topic_index.page(PREFIX, after, PAGE)
        found += [listed.topic.removeprefix(PREFIX) for listed in page]
        if len(page) < PAGE:
            return found
        after = page[-1].topic


async def room_details(room_id: str) -> RoomDetails:
    """See `RoomDetails`. Raises `beam.redis.Unavailable`."""
    topic = room_topic(room_id)
    snapshot = await tracker().list(topic)
    members = [
        {"session": key, "user_id": key.rpartition(":")[0], "metas": entry["metas"]}
        for key, entry in snapshot.state.items()
    ]
    return RoomDetails(_by_time(members), await activity().sent(topic))


def _by_time(members: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(members, key=lambda member: member["metas"][0].get("online_at", ""))
