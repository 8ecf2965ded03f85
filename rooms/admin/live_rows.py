"""Database rows of live rooms that have none yet."""

from __future__ import annotations

import json
from functools import partial
from typing import Final

from django.db import connection
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils import timezone

from rooms.admin import page_data
from rooms.models import Room
from rooms.protocol.identifiers import room_topic

# New live rooms that get a row per request.
AT_ONCE: Final = 1_000


def as_rows(room_ids: list[str]) -> RawSQL:
    """A list as one parameter: databases limit the number of parameters."""
    if connection.vendor == "postgresql":
        return RawSQL(
            "SELECT jsonb_array_elements_text(%s::jsonb)", [json.dumps(room_ids)]
        )
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(room_ids)])


def create_rows(room_ids: list[str], rows: RawSQL) -> None:
    """Create rows for at most `AT_ONCE` live rooms that have none."""
    known = set(Room.objects.filter(room_id__in=rows).values_list("room_id", flat=True))
    missing = [room_id for room_id in room_ids if room_id not in known][:AT_ONCE]
    Room.objects.bulk_create(
        [Room(room_id=room_id, last_joined=timezone.now()) for room_id in missing],
        ignore_conflicts=True,
    )


def find_room(request: HttpRequest, room_id: str) -> Room | None:
    """The row of a room. Creates it if the room is live and has none."""
    if (room := Room.objects.filter(room_id=room_id).first()) is not None:
        return room
    try:
        room_topic(room_id)
    except ValueError:
        return None
    found = page_data.run(request, partial(page_data.room_stats, [room_id])) or {}
    stats = found.get(room_id, page_data.UNKNOWN)
    if not stats.sessions and not stats.per_minute:
        return None
    defaults = {"last_joined": timezone.now()}
    return Room.objects.get_or_create(room_id=room_id, defaults=defaults)[0]
