"""The page of a room: its members, its events, its settings."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.http import urlencode

from rooms.admin import page_data
from rooms.admin.actions import RoomActions
from rooms.admin.bulk_actions import BulkActions
from rooms.admin.live_rows import find_room
from rooms.admin.room_list import RoomListAdmin
from rooms.models import Room
from rooms.records import room_overrides

SETTINGS: Final = ("room_id", "capacity", "presence_grace", "history")
LABELS: Final = {
    "room_id": "Room id",
    "capacity": "Maximum sessions (0 = unlimited, blank = server default)",
    "presence_grace": "Presence grace period (seconds, blank = server default)",
}
HELP_TEXTS: Final = {
    "capacity": "Members whose room token lacks presence are not counted.",
    "presence_grace": "How long a member whose connection was lost stays present.",
}


@admin.register(Room)
class RoomAdmin(RoomListAdmin, RoomActions, BulkActions):
    """The page of one room: its settings, members and events. See also the bases."""

    fieldsets = (("Settings", {"fields": SETTINGS}),)
    change_form_template = "admin/rooms/room/change_form.html"

    def get_form(
        self, request: Any, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        """Django's form, with labels that say what 0 and a blank field mean."""
        helps = HELP_TEXTS if obj is None else HELP_TEXTS | {"room_id": ""}
        more: dict[str, Any] = {"labels": LABELS, "help_texts": helps, **kwargs}
        return super().get_form(request, obj, change, **more)

    def construct_change_message(
        self, request: Any, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Django's message, with labels without the part in parentheses."""
        for field in form.fields.values():
            field.label = str(field.label).partition(" (")[0]
        return super().construct_change_message(request, form, formsets, add)

    @admin.display(description="event history")
    def history(self, room: Room) -> str:
        """Rooms have no event history."""
        return "Off: Beam does not store events."

    def get_urls(self) -> list[Any]:
        """The URLs of actions, and one that finds a room by its id."""
        view = self.admin_site.admin_view(self.by_id)
        return [path("named/", view, name="rooms_room_named"), *super().get_urls()]

    def by_id(self, request: HttpRequest) -> HttpResponse:
        """Redirect to a room's page, or to the list if the room is not found."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        room_id = request.GET.get("room_id", "").replace("\0", "")
        if (room := find_room(request, room_id)) is not None:
            return redirect("admin:rooms_room_change", room.pk)
        listed = reverse("admin:rooms_room_changelist")
        return redirect(f"{listed}?{urlencode({'q': room_id})}")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """The id of an existing room cannot be changed."""
        return ("history",) if obj is None else ("room_id", "history")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A room's page: its members, its events and its settings."""
        room: Room | None = self.get_object(request, unquote(object_id))
        if room is None:
            return super().change_view(request, object_id, form_url, extra_context)
        context = self._page_context(request, room) | (extra_context or {})
        return super().change_view(request, object_id, form_url, context)

    def _page_context(self, request: HttpRequest, room: Room) -> dict[str, Any]:
        """What the template and the scripts of a room's page need."""
        known: page_data.RoomDetails | None = None
        # A saved form redirects. If it is shown again, its scripts load the rest.
        if request.method != "POST":
            work = partial(page_data.room_details, room.room_id)
            known = page_data.run(request, work)
        details = known or page_data.RoomDetails()
        may_moderate = self.has_moderate_permission(request)
        return {
            "title": f"Room {room}",
            "subtitle": None,
            "room": room,
            "known": known is not None,
            "members": details.members,
            "sent": details.sent,
            "may_moderate": may_moderate,
            "page_config": {
                "topic": f"room:{room.room_id}",
                "actions": {
                    name: reverse(f"admin:rooms_room_{name}", args=[room.pk])
                    for name in ("remove", "disconnect")
                },
                "mayModerate": may_moderate,
            },
        }

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        """Save, and notify all processes once the transaction is committed."""
        super().save_model(request, obj, form, change)
        transaction.on_commit(
            partial(
                page_data.run,
                request,
                room_overrides.publish_change,
                page_data.NOT_SENT,
            )
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse to delete closed rooms: without a row they would be open."""
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        closed = [
            f"{room} is closed: open it before you delete it"
            for room in objs
            if room.closed
        ]
        return found, counts, lacking, [*protected, *closed]

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete a room's row and its settings."""
        self._forget(request, [obj.room_id])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Delete the rows and settings of many rooms."""
        self._forget(request, list(queryset.values_list("room_id", flat=True)))
        super().delete_queryset(request, queryset)

    @staticmethod
    def _forget(request: HttpRequest, room_ids: list[str]) -> None:
        """Have all processes drop the settings once the transaction is committed."""
        forgotten = partial(room_overrides.publish_deleted, room_ids)
        transaction.on_commit(
            partial(page_data.run, request, forgotten, page_data.NOT_SENT)
        )
