"""Owns which rooms are closed: in the database, and from there at their gates.

A gate is what joins look at; it is in memory or in Redis, and can be lost.
"""

from __future__ import annotations

import logging

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from presence import gate
from presence.backend import tracker
from rooms import relay
from rooms.address import room_topic
from rooms.models import Room
from rooms.removal import removal
from rooms.wire import Reason

logger = logging.getLogger(__name__)


async def close(room_id: str) -> None:
    """Let nobody in until `open_again`. Raises `RedisError`, `DatabaseError`."""
    await database_sync_to_async(_mark)(room_id, closed=True)
    await tracker().shut(room_topic(room_id), gate.EVERYBODY)


async def open_again(room_id: str) -> None:
    """Let people join. Raises `RedisError`, `DatabaseError`."""
    await database_sync_to_async(_mark)(room_id, closed=False)
    await tracker().open(room_topic(room_id), gate.EVERYBODY)


def _mark(room_id: str, *, closed: bool) -> None:
    Room.objects.update_or_create(room_id=room_id, defaults={"closed": closed})


def _closed() -> list[str]:
    return list(Room.objects.filter(closed=True).values_list("room_id", flat=True))


async def close_again() -> bool:
    """Shut the gates of all rooms that the database says are closed.

    For a process that starts, and a Redis that lost its data. Who came in
    meanwhile is taken out. False: the database cannot tell. Raises `RedisError`,
    `relay.Unavailable`.
    """
    try:
        found = await database_sync_to_async(_closed)()
    except DatabaseError as error:
        text = "Cannot tell which rooms are closed (manage.py migrate?): %s"
        logger.warning(text, error)
        return False
    topics = [room_topic(room_id) for room_id in found]
    for topic in topics:
        await tracker().shut(topic, gate.EVERYBODY)
    sizes = await tracker().sizes(topics) if topics else []
    for topic, size in zip(topics, sizes, strict=True):
        if size.entries:
            await relay.published(removal(topic, Reason.ROOM_CLOSED))
    return True
