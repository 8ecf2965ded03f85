"""The room list: its live numbers, its filter by state, rows of new live rooms."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils import timezone

from rooms.admin import live_data
from rooms.models import Room
from rooms.protocol.identifiers import room_topic

UNKNOWN: Final = live_data.RoomStats()
# New live rooms that get a row per request.
AT_ONCE: Final = 1_000


class RoomList(ChangeList):
    """A page of rooms with live numbers, which are requested once per page."""

    def get_results(self, request: HttpRequest) -> None:
        """Django's rows, each with its `RoomStats` as `now`."""
        super().get_results(request)
        self.result_list = rows = list(self.result_list)
        ids = [room.room_id for room in rows]
        stats = live_data.run(request, partial(live_data.room_stats, ids)) or {}
        for room in rows:
            room.now = stats.get(room.room_id, UNKNOWN)


class StateFilter(admin.SimpleListFilter):
    """Live, idle or closed rooms. Live rooms have members, idle rooms have none."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The three states."""
        return [("live", "Live"), ("idle", "Idle"), ("closed", "Closed")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> QuerySet[Room]:
        """The rooms in the chosen state."""
        if self.value() is None:
            return queryset
        if self.value() == "closed":
            return queryset.filter(closed=True)
        found = live_data.run(request, live_data.live_room_ids)
        if found is None:
            return queryset.none()
        live = _as_rows(found)
        if self.value() == "live":
            _create_rows(found, live)
            return queryset.filter(room_id__in=live)
        return queryset.filter(closed=False).exclude(room_id__in=live)


def _as_rows(room_ids: list[str]) -> RawSQL:
    """A list as one parameter: databases limit the number of parameters."""
    if connection.vendor == "postgresql":
        return RawSQL(
            "SELECT jsonb_array_elements_text(%s::jsonb)", [json.dumps(room_ids)]
        )
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(room_ids)])


def _create_rows(room_ids: list[str], rows: RawSQL) -> None:
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
    found = live_data.run(request, partial(live_data.room_stats, [room_id])) or {}
    stats = found.get(room_id, UNKNOWN)
    if not stats.sessions and not stats.per_minute:
        return None
    defaults = {"last_joined": timezone.now()}
    return Room.objects.get_or_create(room_id=room_id, defaults=defaults)[0]
