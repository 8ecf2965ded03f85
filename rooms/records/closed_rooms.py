"""Closes rooms: in the database, and in the tracker, which refuses the joins.

The tracker keeps it in memory or in Redis, and may lose it; the database does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.utils import timezone

from presence.admission import EVERYONE
from presence.factory import tracker
from rooms.messaging import publisher
from rooms.messaging.presence_diffs import diffs
from rooms.models import Room
from rooms.protocol.identifiers import room_topic
from rooms.protocol.reasons import Reason
from rooms.protocol.removal_event import removal

logger = logging.getLogger(__name__)

BATCH_SIZE: Final = 500


async def refuse_joins(*room_ids: str) -> None:
    """Have the tracker refuse all joins. Raises `beam.redis.Unavailable`."""
    topics = map(room_topic, room_ids)
    await asyncio.gather(*(tracker().ban(topic, EVERYONE) for topic in topics))


async def save(*room_ids: str) -> None:
    """Save that rooms are closed until `open_again`. Raises `DatabaseError`."""
    await database_sync_to_async(_mark)(room_ids, closed=True)


async def open_again(*room_ids: str) -> None:
    """Allow joins again. Raises `beam.redis.Unavailable`, `DatabaseError`.

    Redis comes first: if it is unavailable, the database is not changed either.
    """
    topics = map(room_topic, room_ids)
    await asyncio.gather(*(tracker().unban(topic, EVERYONE) for topic in topics))
    await database_sync_to_async(_mark)(room_ids, closed=False)


def _mark(room_ids: Sequence[str], *, closed: bool) -> None:
    rows = [Room(room_id=room_id) for room_id in room_ids]
    Room.objects.bulk_create(rows, ignore_conflicts=True)
    known = Room.objects.filter(room_id__in=room_ids)
    known.update(closed=closed, changed=timezone.now())


def _closed() -> list[str]:
    return list(Room.objects.filter(closed=True).values_list("room_id", flat=True))


async def close_again() -> bool:
    """Refuse the joins of all rooms that the database lists as closed.

    For a process that starts, and for a Redis that lost its data. Members that
    joined before are removed. Returns False if the database is unavailable. Raises
    `beam.redis.Unavailable`.
    """
    try:
        found = await database_sync_to_async(_closed)()
    except DatabaseError as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        _outage.begin(reason)
        return False
    _outage.end()
    topics = [room_topic(room_id) for room_id in found]
    for at in range(0, len(topics), BATCH_SIZE):
        some = topics[at : at + BATCH_SIZE]
        await asyncio.gather(*(tracker().ban(t, EVERYONE) for t in some))
    sizes = await tracker().sizes(topics) if topics else []
    for topic, size in zip(topics, sizes, strict=True):
        if size.entries:
            await publisher.published(removal(topic, Reason.ROOM_CLOSED))
            diffs().publish(topic, await tracker().end_grace(topic, EVERYONE))
    return True


class _Outage:
    """Logs an outage of the database in one line, though every retry fails."""

    lasts = False

    def begin(self, reason: str) -> None:
        level = logging.DEBUG if self.lasts else logging.WARNING
        self.lasts = True
        text = "Cannot read the closed rooms from the database: %s"
        logger.log(level, text, reason)

    def end(self) -> None:
        if self.lasts:
            self.lasts = False
            logger.info("The closed rooms can be read from the database again")


_outage = _Outage()
