"""The list of rooms: its live numbers, its filter by state, its columns."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.timesince import timesince

from rooms.admin import page_data
from rooms.admin.live_rows import as_rows, create_rows, find_room
from rooms.models import Room


class RoomList(ChangeList):
    """A page of rooms with live numbers, which are requested once per page."""

    def get_results(self, request: HttpRequest) -> None:
        """Django's rows, each with its `RoomStats` as `now`."""
        super().get_results(request)
        self.result_list = rows = list(self.result_list)
        ids = [room.room_id for room in rows]
        stats = page_data.run(request, partial(page_data.room_stats, ids)) or {}
        for room in rows:
            room.now = stats.get(room.room_id, page_data.UNKNOWN)


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
        found = page_data.run(request, page_data.live_room_ids)
        if found is None:
            return queryset.none()
        live = as_rows(found)
        if self.value() == "live":
            create_rows(found, live)
            return queryset.filter(room_id__in=live)
        return queryset.filter(closed=False).exclude(room_id__in=live)


class RoomListAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The list of rooms that have a row."""

    list_display = (
        "room_id",
        "state",
        "sessions",
        "users",
        "per_minute",
        "age",
        "joined",
    )
    list_filter = (StateFilter,)
    search_fields = ("room_id",)
    search_help_text = (
        "Part of a room id, or the full id of a live room that is not listed yet."
    )
    list_per_page = 50
    # It would count all rooms a second time for each page.
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """A list with live numbers."""
        return RoomList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list of rooms that have a row."""
        return super().changelist_view(
            request, {"title": "Rooms"} | (extra_context or {})
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Room], search_term: str
    ) -> tuple[QuerySet[Room], bool]:
        """Django's results. The full id of a new live room finds it too."""
        if search_term:
            find_room(request, search_term.replace("\0", ""))
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="state", ordering="closed")
    def state(self, room: Any) -> str:
        """Closed, live or idle."""
        if room.closed:
            return _badge("closed")
        if room.now.sessions is None:
            return _badge("unknown")
        return _badge("live" if room.now.sessions else "idle")

    @admin.display(description="sessions")
    def sessions(self, room: Any) -> str:
        """Members, counted by session."""
        return _number(room.now.sessions)

    @admin.display(description="users")
    def users(self, room: Any) -> str:
        """Members, counted by user."""
        return _number(room.now.users)

    @admin.display(description="messages/min")
    def per_minute(self, room: Any) -> str:
        """Messages of members and backends in the last minute."""
        return _number(room.now.per_minute)

    @admin.display(description="age", ordering="-created")
    def age(self, room: Room) -> str:
        """Time since the room was created."""
        return timesince(room.created, depth=1)

    @admin.display(description="last join", ordering="last_joined")
    def joined(self, room: Room) -> str:
        """The last join, exact to the hour: see `rooms.records.room_rows`."""
        if room.last_joined is None:
            return "never"
        return f"{timesince(room.last_joined, depth=1)} ago"


def _badge(state: str) -> str:
    return format_html('<span class="beam-state beam-{}">{}</span>', state, state)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.10g}"
