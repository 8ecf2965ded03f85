"""Owns the admin's pages of rooms: who is in, what happens, and how to steer them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.timesince import timesince

from presence import gate
from rooms import closed, overrides, steering
from rooms.admin import now
from rooms.admin.forms import RemoveForm, SendForm
from rooms.models import Room

STEER: Final = "rooms.steer_room"
UNKNOWN: Final = now.Figures()


class Figured(ChangeList):
    """A page of rooms, and what all of them do now: asked once for the page."""

    def get_results(self, request: HttpRequest) -> None:
        """Django's rows, with `now` on each."""
        super().get_results(request)
        self.result_list = rows = list(self.result_list)
        ids = [room.room_id for room in rows]
        figures = now.ask(request, partial(now.figures, ids)) or {}
        for room in rows:
            room.now = figures.get(room.room_id, UNKNOWN)


class StateFilter(admin.SimpleListFilter):
    """Live rooms have members, idle ones have none."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The three states."""
        return [("live", "Live"), ("idle", "Idle"), ("closed", "Closed")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> QuerySet[Room]:
        """Those rooms."""
        if self.value() is None:
            return queryset
        if self.value() == "closed":
            return queryset.filter(closed=True)
        live = _rows_of(now.ask(request, now.live_room_ids) or [])
        if self.value() == "live":
            return queryset.filter(room_id__in=live)
        return queryset.filter(closed=False).exclude(room_id__in=live)


def _rows_of(room_ids: list[str]) -> RawSQL:
    """A list as one parameter: a database takes only so many."""
    if connection.vendor == "postgresql":
        return RawSQL(
            "SELECT jsonb_array_elements_text(%s::jsonb)", [json.dumps(room_ids)]
        )
    return RawSQL("SELECT value FROM json_each(%s)", [json.dumps(room_ids)])


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rooms with what they do now."""

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
    list_per_page = 50
    # The count of all rooms, once more for each page.
    show_full_result_count = False
    actions = ("close_rooms", "open_rooms")
    fields = ("room_id", "capacity", "presence_grace", "history")
    change_form_template = "admin/rooms/room/change_form.html"

    # The list.

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """See `Figured`."""
        return Figured

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All rooms that were ever joined, or set up."""
        return super().changelist_view(
            request, {"title": "Rooms"} | (extra_context or {})
        )

    @admin.display(description="state", ordering="closed")
    def state(self, room: Any) -> str:
        """Closed, live or idle."""
        if room.closed:
            return _badge("closed")
        return _badge("live" if room.now.sessions else "idle")

    @admin.display(description="sessions")
    def sessions(self, room: Any) -> str:
        """Members, counted by tab or device."""
        return _number(room.now.sessions)

    @admin.display(description="users")
    def users(self, room: Any) -> str:
        """Members, counted by user."""
        return _number(room.now.users)

    @admin.display(description="per minute")
    def per_minute(self, room: Any) -> str:
        """Messages of clients and backends."""
        return _number(room.now.per_minute)

    @admin.display(description="age", ordering="-created")
    def age(self, room: Room) -> str:
        """Since its first join."""
        return timesince(room.created, depth=1)

    @admin.display(description="last joined", ordering="last_joined")
    def joined(self, room: Room) -> str:
        """To the hour: see `rooms.registry`."""
        if room.last_joined is None:
            return "never"
        return f"{timesince(room.last_joined, depth=1)} ago"

    @admin.display(description="history")
    def history(self, room: Room) -> str:
        """No room keeps events yet."""
        return "off: no room keeps its events"

    # One room.

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A room keeps its id."""
        return ("history",) if obj is None else ("room_id", "history")

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Who may remove members, close rooms and send events."""
        return request.user.has_perm(STEER)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The settings, and beside them who is in and what happens."""
        room = self._room(request, object_id)
        if room is None:
            return super().change_view(request, object_id, form_url, extra_context)
        found = now.ask(request, partial(now.inside, room.room_id)) or now.Inside()
        context = {
            "title": f"Room {room}",
            "subtitle": None,
            "room": room,
            "members": found.members,
            "sent": found.sent,
            "may_steer": self.has_steer_permission(request),
            "watch": {
                "topic": f"room:{room.room_id}",
                "steer": {
                    name: reverse(f"admin:rooms_room_{name}", args=[room.pk])
                    for name in ("remove", "disconnect")
                },
                "maySteer": self.has_steer_permission(request),
            },
        }
        return super().change_view(
            request, object_id, form_url, context | (extra_context or {})
        )

    def save_model(
        self, request: HttpRequest, obj: Any, form: Any, change: bool
    ) -> None:
        """Every process is told what is set now."""
        super().save_model(request, obj, form, change)
        now.ask(request, overrides.tell)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """A room that is forgotten is open."""
        self._forget(request, [obj])
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """The same for many."""
        self._forget(request, list(queryset))
        super().delete_queryset(request, queryset)

    @staticmethod
    def _forget(request: HttpRequest, rooms: list[Room]) -> None:
        for room in rooms:
            if room.closed:
                now.ask(request, partial(closed.open_again, room.room_id))

    def _room(self, request: HttpRequest, object_id: str) -> Room | None:
        room: Room | None = self.get_object(request, unquote(object_id))
        return room

    # Steering.

    def get_urls(self) -> list[Any]:
        """Django's, and one for each way to steer a room."""
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(partial(self._steer, view=view)),
                name=f"rooms_room_{name}",
            )
            for name, view in (
                ("close", self._close),
                ("open", self._open),
                ("remove", self._remove),
                ("disconnect", self._disconnect),
                ("send", self._send),
            )
        ]
        return [*own, *super().get_urls()]

    def _steer(
        self,
        request: HttpRequest,
        object_id: str,
        view: Callable[[HttpRequest, Room], HttpResponse],
    ) -> HttpResponse:
        """Ask first, do it when that was answered. Raises `PermissionDenied`."""
        if not self.has_steer_permission(request):
            raise PermissionDenied
        room = self._room(request, object_id)
        if room is None:
            raise Http404
        return view(request, room)

    def _close(self, request: HttpRequest, room: Room) -> HttpResponse:
        return self._ask_first(
            request,
            room,
            partial(steering.close, room.room_id),
            "Closed.",
            title=f"Close {room}?",
            text="Its members are removed, and nobody may join until it is opened.",
            button="Yes, close the room",
        )

    def _open(self, request: HttpRequest, room: Room) -> HttpResponse:
        return self._ask_first(
            request,
            room,
            partial(closed.open_again, room.room_id),
            "Opened.",
            title=f"Open {room}?",
            text="People may join again.",
            button="Yes, open the room",
        )

    def _remove(self, request: HttpRequest, room: Room) -> HttpResponse:
        session = request.GET.get("session", "")
        user_id = session.rpartition(":")[0]
        form = RemoveForm(request.POST or None)
        if not session or not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Remove {session} from {room}?",
                text="The member is told the reason, and its channel is closed.",
                button="Yes, remove",
            )
        given = form.cleaned_data
        everywhere = given["everywhere"]
        bar = gate.group(user_id) if everywhere else gate.key(session)
        block = float(given["block_seconds"])
        work = partial(
            steering.remove,
            room.room_id,
            bar,
            reason=given["reason"],
            block_seconds=block,
        )
        who = f"user {user_id}" if everywhere else session
        kept_out = f", kept out for {block:g} s" if block else ""
        return self._done(request, room, work, f"Removed {who}{kept_out}.")

    def _disconnect(self, request: HttpRequest, room: Room) -> HttpResponse:
        user_id = request.GET.get("user", "")
        if not user_id:
            raise Http404
        return self._ask_first(
            request,
            room,
            partial(steering.disconnect, user_id),
            f"Disconnected {user_id} everywhere.",
            title=f"Disconnect {user_id} everywhere?",
            text="Every connection of this user is closed, in all rooms. "
            "Clients come back by themselves while their tokens are good.",
            button="Yes, disconnect",
        )

    def _send(self, request: HttpRequest, room: Room) -> HttpResponse:
        form = SendForm(request.POST or None)
        if not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Send an event to {room}",
                text="Everybody in the room gets it, as if a backend had sent it.",
                button="Send",
                harmless=True,
            )
        event, payload = form.cleaned_data["event"], form.cleaned_data["payload"]
        by = f"admin:{request.user.get_username()}"
        work = partial(steering.send, room.room_id, event, payload, by)
        return self._done(request, room, work, f"Sent {event}.")

    def _ask_first(
        self,
        request: HttpRequest,
        room: Room,
        work: Callable[[], Awaitable[Any]],
        done: str,
        **question: str,
    ) -> HttpResponse:
        """The question, and once it is answered the work; `done`: for the log."""
        if request.method != "POST":
            return self._confirm(request, room, **question)
        return self._done(request, room, work, done)

    def _confirm(self, request: HttpRequest, room: Room, **more: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "room": room,
            "back": reverse("admin:rooms_room_change", args=[room.pk]),
            "media": self.media,
            **more,
        }
        return TemplateResponse(request, "admin/rooms/room/steer.html", context)

    def _done(
        self,
        request: HttpRequest,
        room: Room,
        work: Callable[[], Awaitable[Any]],
        text: str,
    ) -> HttpResponse:
        """Do it, write it down, go back to the room."""
        if _did(request, work):
            self.log_change(request, room, text)
            messages.success(request, text)
        return HttpResponseRedirect(reverse("admin:rooms_room_change", args=[room.pk]))

    @admin.action(description="Close the selected rooms", permissions=["steer"])
    def close_rooms(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse | None:
        """After asking: their members are removed."""
        rooms = list(queryset)
        if "confirmed" not in request.POST:
            return self._confirm_many(request, rooms)
        self._do_all(request, rooms, steering.close, "Closed.")
        return None

    @admin.action(description="Open the selected rooms again", permissions=["steer"])
    def open_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Joins are let in again."""
        self._do_all(request, list(queryset), closed.open_again, "Opened.")

    def _do_all(
        self,
        request: HttpRequest,
        rooms: list[Room],
        work: Callable[[str], Awaitable[Any]],
        text: str,
    ) -> None:
        """Do it to one room after another, and write down what was done."""
        done: list[Room] = []

        async def each() -> None:
            for room in rooms:
                await work(room.room_id)
                done.append(room)

        _did(request, each)
        for room in done:
            self.log_change(request, room, text)
        messages.success(request, f"{len(done)} rooms: {text.lower()}")

    def _confirm_many(self, request: HttpRequest, rooms: list[Room]) -> HttpResponse:
        figures = (
            now.ask(request, partial(now.figures, [r.room_id for r in rooms])) or {}
        )
        inside = sum(found.sessions or 0 for found in figures.values())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Close {len(rooms)} rooms?",
            "rooms": rooms,
            "inside": inside,
            "action": "close_rooms",
            "media": self.media,
        }
        return TemplateResponse(request, "admin/rooms/room/close_many.html", context)


def _did(request: HttpRequest, work: Callable[[], Awaitable[Any]]) -> bool:
    """Whether it was done; else the page says that Redis is away."""

    async def done() -> bool:
        await work()
        return True

    return now.ask(request, done) is True


def _badge(state: str) -> str:
    return format_html('<span class="beam-state beam-{}">{}</span>', state, state)


def _number(figure: float | None) -> str:
    return "?" if figure is None else f"{figure:,.10g}"
