"""Deletes database rows of unused rooms, and expired login sessions.

A room is unused if it is empty, has no settings of its own, and was not joined for
`forget_days`. If more than `room_rows` rooms without settings of their own exist,
those with the oldest joins are deleted until `room_rows` are left. One process of the
deployment does it: the one that sets a key in Redis, which expires.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from beam import redis
from beam.config.conf import conf
from beam.telemetry import metrics
from presence.factory import tracker
from rooms.models import Room
from rooms.protocol.identifiers import room_topic

logger = logging.getLogger(__name__)

BATCH_SIZE: Final = 500
# The maximum number of rows in one query.
MAX_READ: Final = 20 * BATCH_SIZE
# The maximum time of a run; the next run continues.
RUN_SECONDS: Final = 1_800.0
PAUSE_SECONDS: Final = 0.1
# A little less than the time between two runs.
CLAIM_SECONDS: Final = 3_500


def unset() -> QuerySet[Room]:
    """The rooms without settings of their own."""
    return Room.objects.filter(closed=False, capacity=None, presence_grace=None)


def old(days: float) -> QuerySet[Room]:
    """Those of them that were not joined for so many days."""
    before = timezone.now() - timedelta(days=days)
    return unset().filter(
        Q(last_joined__lt=before) | Q(last_joined=None, created__lt=before)
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A room to delete if it is empty. `last`: the time of its last join."""

    last: datetime
    pk: int
    room_id: str


def _candidates(after: Candidate | None) -> list[Candidate]:
    """The next rooms to delete if empty, oldest join first, at most `MAX_READ`.

    `after`: the last one of the previous call: rooms that are not empty are kept.
    """
    limit = MAX_READ
    rooms = unset().annotate(last=Coalesce(F("last_joined"), F("created")))
    excess = unset().count() - conf().room_rows if conf().room_rows else 0
    if excess > 0:
        limit = min(excess, MAX_READ)
    elif days := conf().forget_days:
        rooms = rooms.filter(last__lt=timezone.now() - timedelta(days=days))
    else:
        return []
    if after is not None:
        later = Q(last__gt=after.last) | Q(last=after.last, pk__gt=after.pk)
        rooms = rooms.filter(later)
    rows = rooms.order_by("last", "pk").values_list("last", "pk", "room_id")
    return [Candidate(*row) for row in rows[:limit]]


async def empty(room_ids: list[str]) -> list[str]:
    """The rooms that have no members. Raises `beam.redis.Unavailable`."""
    sizes = await tracker().sizes([room_topic(room_id) for room_id in room_ids])
    return [r for r, size in zip(room_ids, sizes, strict=True) if not size.entries]


def delete(room_ids: list[str]) -> int:
    """Delete these rows, except those that have got settings since; how many."""
    return unset().filter(room_id__in=room_ids).delete()[0]


async def run() -> None:
    """Delete unused rows, if no other process did within the last hour.

    Raises `beam.redis.Unavailable`.
    """
    if not await _claim():
        return
    try:
        count = await _delete_unused(time.monotonic() + RUN_SECONDS)
        await database_sync_to_async(_clear_sessions)()
    except DatabaseError as error:
        logger.warning("Cannot delete unused rooms: %s", type(error).__name__)
        return
    if count:
        logger.info("Deleted %d unused rooms from the database", count)


async def _delete_unused(until: float) -> int:
    """Delete all unused rows, except rooms with members; how many.

    `until`: when to leave the rest to the next run (monotonic clock).
    """
    count, after = 0, None
    while found := await database_sync_to_async(_candidates)(after):
        count += await _delete_empty([candidate.room_id for candidate in found])
        if time.monotonic() >= until:
            break
        after = found[-1]
    return count


async def _delete_empty(room_ids: list[str]) -> int:
    """Delete those rooms that are empty, in batches; how many."""
    count = 0
    for at in range(0, len(room_ids), BATCH_SIZE):
        some = await empty(room_ids[at : at + BATCH_SIZE])
        deleted = await database_sync_to_async(delete)(some)
        metrics.ROOMS_FORGOTTEN.value += deleted
        count += deleted
        await asyncio.sleep(PAUSE_SECONDS)
    return count


async def _claim() -> bool:
    if not conf().redis_url:
        return True
    key = f"{conf().redis_prefix}:forgetting"
    taken = await redis.batch().call("SET", key, 1, "NX", "EX", CLAIM_SECONDS)
    return taken is not None


def _clear_sessions() -> None:
    """Delete expired login sessions of admins."""
    engine: Any = import_module(settings.SESSION_ENGINE)
    engine.SessionStore.clear_expired()
