"""Owns how the admin's pages, which run in threads, ask what the event loop knows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.http import HttpRequest

from beam.redis import Unavailable
from presence import topic_index
from presence.factory import tracker
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_records import Record
from rooms.protocol.identifiers import room_topic

MISSING = "Redis is unavailable: no live data, and rooms cannot be moderated."
UNDONE = "Redis is unavailable: nothing was done."
UNTOLD = "Redis is unavailable: other processes apply the change within a minute."
_TOLD = "_told_that_redis_is_away"
STEM = "room:"
PAGE = 1_000

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RoomStats:
    """What a room does now. None: nobody can tell, Redis is away."""

    sessions: int | None = None
    users: int | None = None
    per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """Who is in a room, and what backends sent to it of late."""

    members: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Record] = field(default_factory=list)


def ask(
    request: HttpRequest, what: Callable[[], Awaitable[Answer]], away: str = MISSING
) -> Answer | None:
    """The answer; None where Redis is away, which the page then says, once."""
    try:
        return async_to_sync(what)()
    except Unavailable:
        if not getattr(request, _TOLD, False):
            messages.error(request, away)
            setattr(request, _TOLD, True)
        return None


async def room_stats(room_ids: Sequence[str]) -> dict[str, RoomStats]:
    """Of all these rooms: two questions to Redis, however many they are."""
    topics = [room_topic(room_id) for room_id in room_ids]
    sizes = await tracker().sizes(topics) if topics else []
    rates = await activity().per_minute(topics, time.time())
    return {
        room_id: RoomStats(size.entries, size.groups, rate)
        for room_id, size, rate in zip(room_ids, sizes, rates, strict=True)
    }


async def live_room_ids() -> list[str]:
    """The rooms that have members now."""
    found: list[str] = []
    after = ""
    while True:
        page = await topic_index.page(STEM, after, PAGE)
        found += [listed.topic.removeprefix(STEM) for listed in page]
        if len(page) < PAGE:
            return found
        after = page[-1].topic


async def inside(room_id: str) -> Inside:
    """See the class."""
    topic = room_topic(room_id)
    snapshot = await tracker().list(topic)
    members = [
        {"session": key, "user_id": key.rpartition(":")[0], "metas": entry["metas"]}
        for key, entry in snapshot.state.items()
    ]
    return Inside(_by_time(members), await activity().sent(topic))


def _by_time(members: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(members, key=lambda member: member["metas"][0].get("online_at", ""))
