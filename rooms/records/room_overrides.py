"""Loads the settings of single rooms from the database into every process."""

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
# The maximum number of room ids in one event.
BATCH_SIZE: Final = 500


async def load() -> None:
    """Read the settings. If the database is unavailable, the former ones stay."""
    try:
        room_policy.set_overrides(await database_sync_to_async(_read)())
    except DatabaseError as error:
        text = "Cannot read the settings of rooms (manage.py migrate?): %s"
        logger.warning(text, type(error).__name__)


async def publish_change() -> None:
    """Have every process load the settings again. Raises `NotPublished`."""
    await publisher.published(Event(topic=CONTROL_TOPIC, name=CHANGED, payload={}))


async def publish_deleted(room_ids: Sequence[str]) -> None:
    """Have every process forget rooms that were deleted. Raises `NotPublished`.

    Their settings no longer apply, and the next join makes a new row.
    """
    for at in range(0, len(room_ids), BATCH_SIZE):
        payload = {DELETED: room_ids[at : at + BATCH_SIZE]}
        event = Event(topic=CONTROL_TOPIC, name=CHANGED, payload=payload)
        await publisher.published(event)


async def apply_change(payload: dict[str, Any]) -> None:
    """Handle such an event in this process."""
    room_rows.forget(payload.get(DELETED, ()))
    await load()


def _read() -> dict[str, dict[str, Any]]:
    nothing = dict.fromkeys(FIELDS)
    rows = Room.objects.exclude(**nothing).values("room_id", *FIELDS)
    return {
        row["room_id"]: {name: row[name] for name in FIELDS if row[name] is not None}
        for row in rows
    }
