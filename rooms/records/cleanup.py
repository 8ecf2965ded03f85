"""Deletes what the database keeps of rooms and sessions that nobody needs.

A room is forgotten if nobody is in it, nothing is set for it, and nobody has
joined it for `forget_days`, or there are more than `room_rows` such rooms: then
those that were joined longest ago, until no more are left than that. One process of
the cluster does it, by a key in Redis that expires.
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
# What is read at once.
MAX_READ: Final = 20 * BATCH_SIZE
# How long a run takes at most: the next one goes on.
RUN_SECONDS: Final = 1_800.0
PAUSE_SECONDS: Final = 0.1
# A little less than the time between two runs.
CLAIM_SECONDS: Final = 3_500


def unset() -> QuerySet[Room]:
    """The rooms for which nothing is set."""
    return Room.objects.filter(closed=False, capacity=None, presence_grace=None)


def old(days: float) -> QuerySet[Room]:
    """Those of them that nobody has joined for so long."""
    before = timezone.now() - timedelta(days=days)
    return unset().filter(
        Q(last_joined__lt=before) | Q(last_joined=None, created__lt=before)
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A room to forget if it is empty. `last`: when it was joined last."""

    last: datetime
    pk: int
    room_id: str


def _candidates(after: Candidate | None) -> list[Candidate]:
    """The next rooms to forget, `MAX_READ` at most, those of the oldest joins first.

    `after`: the last one of those before, some of which are not empty.
    """
    limit = MAX_READ
    useless = unset().annotate(last=Coalesce(F("last_joined"), F("created")))
    excess = unset().count() - conf().room_rows if conf().room_rows else 0
    if excess > 0:
        limit = min(excess, MAX_READ)
    elif days := conf().forget_days:
        useless = useless.filter(last__lt=timezone.now() - timedelta(days=days))
    else:
        return []
    if after is not None:
        later = Q(last__gt=after.last) | Q(last=after.last, pk__gt=after.pk)
        useless = useless.filter(later)
    rows = useless.order_by("last", "pk").values_list("last", "pk", "room_id")
    return [Candidate(*row) for row in rows[:limit]]


async def empty(room_ids: list[str]) -> list[str]:
    """Those that nobody is in. Raises `beam.redis.Unavailable`."""
    sizes = await tracker().sizes([room_topic(room_id) for room_id in room_ids])
    return [r for r, size in zip(room_ids, sizes, strict=True) if not size.entries]


def delete(room_ids: list[str]) -> int:
    """Delete these rows, but for those for which something was set meanwhile."""
    return unset().filter(room_id__in=room_ids).delete()[0]


async def run() -> None:
    """Forget what is of no use, if it is this process's turn.

    Raises `beam.redis.Unavailable`.
    """
    if not await _is_my_turn():
        return
    try:
        count = await _forget_all(time.monotonic() + RUN_SECONDS)
        await database_sync_to_async(_clear_sessions)()
    except DatabaseError as error:
        logger.warning("Rooms cannot be forgotten: %s", type(error).__name__)
        return
    if count:
        logger.info("%d rooms were forgotten: nobody needs their rows", count)


async def _forget_all(until: float) -> int:
    """Forget what is of no use, but for rooms with members; how many.

    `until`: when to leave the rest to the next run (monotonic).
    """
    count, after = 0, None
    while found := await database_sync_to_async(_candidates)(after):
        count += await _forget([candidate.room_id for candidate in found])
        if time.monotonic() >= until:
            break
        after = found[-1]
    return count


async def _forget(room_ids: list[str]) -> int:
    """Delete the empty ones, some at a time; how many."""
    count = 0
    for at in range(0, len(room_ids), BATCH_SIZE):
        some = await empty(room_ids[at : at + BATCH_SIZE])
        deleted = await database_sync_to_async(delete)(some)
        metrics.ROOMS_FORGOTTEN.value += deleted
        count += deleted
        await asyncio.sleep(PAUSE_SECONDS)
    return count


async def _is_my_turn() -> bool:
    if not conf().redis_url:
        return True
    key = f"{conf().redis_prefix}:forgetting"
    taken = await redis.batch().call("SET", key, 1, "NX", "EX", CLAIM_SECONDS)
    return taken is not None


def _clear_sessions() -> None:
    """Delete logins of admins that have expired."""
    engine: Any = import_module(settings.SESSION_ENGINE)
    engine.SessionStore.clear_expired()
