"""Owns what admins set for single rooms: from the database into every process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError

from rooms.messaging import publisher
from rooms.messaging.control_topic import CONTROL_TOPIC
from rooms.models import Room
from rooms.protocol.event import Event
from rooms.records import room_policy
from rooms.records.room_rows import room_rows

logger = logging.getLogger(__name__)

CHANGED: Final = "policies"
FIELDS: Final = ("capacity", "presence_grace")
DELETED: Final = "forgotten"
# Names in one event.
BATCH_SIZE: Final = 500


async def load() -> None:
    """Know what is set. While the database is away, what was known stays."""
    try:
        room_policy.set_overrides(await database_sync_to_async(_read)())
    except DatabaseError as error:
        text = "Cannot tell what is set for rooms (manage.py migrate?): %s"
        logger.warning(text, type(error).__name__)


async def publish_change() -> None:
    """Have every process load anew. Raises `NotPublished`."""
    await publisher.published(Event(topic=CONTROL_TOPIC, name=CHANGED, payload={}))


async def publish_deleted(room_ids: Sequence[str]) -> None:
    """Have every process know nothing of rooms that were deleted.

    What was set for them holds no more, and a join makes a new row. Raises
    `NotPublished`.
    """
    for at in range(0, len(room_ids), BATCH_SIZE):
        payload = {DELETED: room_ids[at : at + BATCH_SIZE]}
        event = Event(topic=CONTROL_TOPIC, name=CHANGED, payload=payload)
        await publisher.published(event)


async def apply_change(payload: dict[str, Any]) -> None:
    """Do what such an event says."""
    room_rows.forget(payload.get(DELETED, ()))
    await load()


def _read() -> dict[str, dict[str, Any]]:
    nothing = dict.fromkeys(FIELDS)
    rows = Room.objects.exclude(**nothing).values("room_id", *FIELDS)
    return {
        row["room_id"]: {name: row[name] for name in FIELDS if row[name] is not None}
        for row in rows
    }
