"""Owns how admins steer rooms from their pages: asked first, allowed, written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import path, reverse

from presence import admission
from rooms import moderation
from rooms.admin import live_data
from rooms.admin.forms import BLOCK, RemoveForm, SendForm, UnblockForm
from rooms.models import Room
from rooms.protocol import identifiers
from rooms.records import closed_rooms

PERMISSION: Final = "rooms.steer_room"
# Rooms that are closed or opened in one step.
AT_ONCE: Final = 200
# Names that are listed before many are closed.
NAMED: Final = 50

Work = Callable[[], Awaitable[str]]
"""Does something to a room; the line for the log, empty where nothing happened."""


class ModeratedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin of rooms with a page for each way to steer one, and actions for many."""

    actions = ("close_rooms", "open_rooms")

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Who may remove members, close rooms and send events: who sees them too."""
        return request.user.has_perm(PERMISSION) and self.has_view_permission(request)

    def get_urls(self) -> list[Any]:
        """Django's, and one for each way to steer a room."""
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(partial(self._view_of, view=view)),
                name=f"rooms_room_{name}",
            )
            for name, view in (
                ("close", self._close),
                ("open", self._open),
                ("remove", self._remove),
                ("unblock", self._unblock),
                ("disconnect", self._disconnect),
                ("send", self._send),
            )
        ]
        return [*own, *super().get_urls()]

    def _view_of(
        self,
        request: HttpRequest,
        object_id: str,
        view: Callable[[HttpRequest, Room], HttpResponse],
    ) -> HttpResponse:
        """Ask first, do it when that was answered. Raises `PermissionDenied`."""
        if not self.has_moderate_permission(request):
            raise PermissionDenied
        room = self.get_object(request, unquote(object_id))
        if room is None:
            raise Http404
        return view(request, room)

    def _close(self, request: HttpRequest, room: Room) -> HttpResponse:
        async def close() -> str:
            return f"Closed. Sessions removed: {await moderation.close(room.room_id)}."

        return self._ask_first(
            request,
            room,
            close,
            title=f"Close room {room}?",
            text="All members are removed. Joins are refused until the room is opened.",
            button="Close room",
        )

    def _open(self, request: HttpRequest, room: Room) -> HttpResponse:
        async def open_again() -> str:
            await closed_rooms.open_again(room.room_id)
            return "Opened."

        return self._ask_first(
            request,
            room,
            open_again,
            title=f"Open room {room}?",
            text="Clients can join it again.",
            button="Open room",
        )

    def _remove(self, request: HttpRequest, room: Room) -> HttpResponse:
        session = _named(identifiers.session, request.GET.get("session"))
        block = "block" in request.GET
        form = RemoveForm(request.POST or None, initial=BLOCK if block else None)
        if not form.is_valid():
            verb = "Block" if block else "Remove"
            return self._confirm(
                request,
                room,
                form=form,
                title=f"{verb} {session} {'in' if block else 'from'} room {room}?",
                text="The member receives the reason, and its channel is closed.",
                button=verb,
            )
        work = partial(_removed, room.room_id, session, **form.cleaned_data)
        return self._done(request, room, work)

    def _unblock(self, request: HttpRequest, room: Room) -> HttpResponse:
        form = UnblockForm(request.POST or None)
        if not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Unblock a user or session in room {room}",
                text="The user or session can join again before the block expires.",
                button="Unblock",
                harmless=True,
            )
        who = form.cleaned_data["who"]

        async def unblock() -> str:
            await moderation.let_in(
                room.room_id, admission.group(who), admission.key(who)
            )
            return f"Unblocked {who}."

        return self._done(request, room, unblock)

    def _disconnect(self, request: HttpRequest, room: Room) -> HttpResponse:
        user_id = _named(identifiers.user_id, request.GET.get("user"))

        async def disconnect() -> str:
            await moderation.disconnect(user_id)
            return f"Disconnected user {user_id}."

        return self._ask_first(
            request,
            room,
            disconnect,
            title=f"Disconnect user {user_id}?",
            text="All connections of this user are closed, in all rooms. "
            "Clients reconnect on their own while their tokens are valid.",
            button="Disconnect",
        )

    def _send(self, request: HttpRequest, room: Room) -> HttpResponse:
        form = SendForm(request.POST or None)
        if not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Send an event to room {room}",
                text="All members of the room receive it, as if a backend had sent it.",
                button="Send event",
                harmless=True,
            )
        event, payload = form.cleaned_data["event"], form.cleaned_data["payload"]
        by = f"admin:{request.user.get_username()}"

        async def send() -> str:
            await moderation.send(room.room_id, event, payload, by)
            return f"Sent event {event}."

        return self._done(request, room, send)

    def _ask_first(
        self, request: HttpRequest, room: Room, work: Work, **question: str
    ) -> HttpResponse:
        """The question, and once it is answered the work."""
        if request.method != "POST":
            return self._confirm(request, room, **question)
        return self._done(request, room, work)

    def _confirm(self, request: HttpRequest, room: Room, **more: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "room": room,
            "back": reverse("admin:rooms_room_change", args=[room.pk]),
            "media": self.media,
            **more,
        }
        return TemplateResponse(request, "admin/rooms/room/confirm.html", context)

    def _done(self, request: HttpRequest, room: Room, work: Work) -> HttpResponse:
        """Do it, write it down, go back to the room."""
        text = live_data.ask(request, work, live_data.UNDONE)
        if text:
            self.log_change(request, room, text)
            messages.success(request, text)
        elif text is not None:
            messages.warning(request, "The member has left: nothing was done.")
        return HttpResponseRedirect(reverse("admin:rooms_room_change", args=[room.pk]))

    # Many rooms.

    @admin.action(description="Close selected rooms", permissions=["moderate"])
    def close_rooms(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse | None:
        """After asking: their members are removed."""
        if "confirmed" not in request.POST:
            return self._confirm_many(request, queryset)
        self._do_all(request, queryset, moderation.close_all, "Closed")
        return None

    @admin.action(description="Open selected rooms", permissions=["moderate"])
    def open_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Joins are let in again."""

        async def open_all(room_ids: Sequence[str]) -> None:
            await closed_rooms.open_again(*room_ids)

        self._do_all(request, queryset, open_all, "Opened")

    @staticmethod
    def _do_all(
        request: HttpRequest,
        queryset: QuerySet[Room],
        work: Callable[[Sequence[str]], Awaitable[None]],
        verb: str,
    ) -> None:
        """Do it to some rooms after the others, and write down what was done."""
        rooms, done = list(queryset), 0
        for at in range(0, len(rooms), AT_ONCE):
            some = rooms[at : at + AT_ONCE]
            if not _did(request, partial(work, [room.room_id for room in some])):
                break
            done += len(some)
            LogEntry.objects.log_actions(str(request.user.pk), some, CHANGE, f"{verb}.")
        if done:
            text = f"{verb} {done:,} of {len(rooms):,} room{pluralize(len(rooms))}."
            messages.success(request, text)

    def _confirm_many(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse:
        ids = list(queryset.values_list("room_id", flat=True))
        stats = live_data.ask(request, partial(live_data.room_stats, ids))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Close {len(ids):,} room{pluralize(len(ids))}?",
            "count": len(ids),
            "names": ids[:NAMED],
            "more": len(ids[NAMED:]),
            # None: nobody can tell.
            "inside": stats and sum(one.sessions or 0 for one in stats.values()),
            # The same rooms anew: their ids by thousands are more than a form takes.
            "across": request.POST.get("select_across") == "1",
            "chosen": request.POST.getlist("_selected_action"),
            "action": "close_rooms",
            "button": f"Close room{pluralize(len(ids))}",
            # Here, with the query by which they were chosen.
            "target": "",
            "back": reverse("admin:rooms_room_changelist"),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/rooms/room/close_many.html", context)


async def _removed(
    room_id: str, session: str, *, everywhere: bool, reason: str, block_seconds: float
) -> str:
    """What `Work` says: who was removed, and for how long they are kept out."""
    user_id = session.rpartition(":")[0]
    ban = admission.group(user_id) if everywhere else admission.key(session)
    who = f"user {user_id}" if everywhere else session
    try:
        gone = await moderation.remove(
            room_id, ban, reason=reason, block_seconds=float(block_seconds)
        )
    except admission.TooManyBans:
        most = f"{admission.MAX_BANS:,}"
        return f"Not removed: the room already has {most} blocks, the maximum."
    if not block_seconds:
        return f"Removed {who}." if gone else ""
    blocked = f"blocked for {block_seconds:,} s."
    return f"Removed {who}, {blocked}" if gone else f"{who} was not present; {blocked}"


def _named(read: Callable[[object], str], given: object) -> str:
    """Who an address of a page names. Raises `Http404`."""
    try:
        return read(given)
    except ValueError:
        raise Http404 from None


def _did(request: HttpRequest, work: Callable[[], Awaitable[None]]) -> bool:
    """Whether it was done; else the page says that Redis is away."""

    async def done() -> bool:
        await work()
        return True

    return live_data.ask(request, done, live_data.UNDONE) is True
