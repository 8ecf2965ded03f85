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
from django.template.response import TemplateResponse
from django.urls import path, reverse

from presence import admission
from rooms import moderation
from rooms.admin import live_data
from rooms.admin.forms import LetInForm, RemoveForm, SendForm
from rooms.models import Room
from rooms.protocol import identifiers
from rooms.records import closed_rooms

STEER: Final = "rooms.steer_room"
# Rooms that are closed or opened in one step.
AT_ONCE: Final = 200
# Names that are listed before many are closed.
NAMED: Final = 50

Work = Callable[[], Awaitable[str]]
"""Does something to a room; the line for the log, empty where nothing happened."""


class SteeredAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """An admin of rooms with a page for each way to steer one, and actions for many."""

    actions = ("close_rooms", "open_rooms")

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Who may remove members, close rooms and send events: who sees them too."""
        return request.user.has_perm(STEER) and self.has_view_permission(request)

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
                ("let_in", self._let_in),
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
        room = self.get_object(request, unquote(object_id))
        if room is None:
            raise Http404
        return view(request, room)

    def _close(self, request: HttpRequest, room: Room) -> HttpResponse:
        async def close() -> str:
            return f"Closed; sessions in it: {await moderation.close(room.room_id)}."

        return self._ask_first(
            request,
            room,
            close,
            title=f"Close {room}?",
            text="Its members are removed, and nobody may join until it is opened.",
            button="Yes, close the room",
        )

    def _open(self, request: HttpRequest, room: Room) -> HttpResponse:
        async def open_again() -> str:
            await closed_rooms.open_again(room.room_id)
            return "Opened."

        return self._ask_first(
            request,
            room,
            open_again,
            title=f"Open {room}?",
            text="People may join again.",
            button="Yes, open the room",
        )

    def _remove(self, request: HttpRequest, room: Room) -> HttpResponse:
        session = _named(identifiers.session, request.GET.get("session"))
        form = RemoveForm(request.POST or None)
        if not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Remove {session} from {room}?",
                text="The member is told the reason, and its channel is closed.",
                button="Yes, remove",
            )
        work = partial(_removed, room.room_id, session, **form.cleaned_data)
        return self._done(request, room, work)

    def _let_in(self, request: HttpRequest, room: Room) -> HttpResponse:
        form = LetInForm(request.POST or None)
        if not form.is_valid():
            return self._confirm(
                request,
                room,
                form=form,
                title=f"Let somebody into {room} again",
                text="Who was removed and kept out may join again, before the time.",
                button="Let in",
                harmless=True,
            )
        who = form.cleaned_data["who"]

        async def let_in() -> str:
            await moderation.let_in(
                room.room_id, admission.group(who), admission.key(who)
            )
            return f"Let {who} in again."

        return self._done(request, room, let_in)

    def _disconnect(self, request: HttpRequest, room: Room) -> HttpResponse:
        user_id = _named(identifiers.user_id, request.GET.get("user"))

        async def disconnect() -> str:
            await moderation.disconnect(user_id)
            return f"Disconnected {user_id} everywhere."

        return self._ask_first(
            request,
            room,
            disconnect,
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

        async def send() -> str:
            await moderation.send(room.room_id, event, payload, by)
            return f"Sent {event}."

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
        return TemplateResponse(request, "admin/rooms/room/steer.html", context)

    def _done(self, request: HttpRequest, room: Room, work: Work) -> HttpResponse:
        """Do it, write it down, go back to the room."""
        text = live_data.ask(request, work, live_data.UNDONE)
        if text:
            self.log_change(request, room, text)
            messages.success(request, text)
        elif text is not None:
            messages.warning(request, "Nobody was there any more: nothing was done.")
        return HttpResponseRedirect(reverse("admin:rooms_room_change", args=[room.pk]))

    # Many rooms.

    @admin.action(description="Close the selected rooms", permissions=["steer"])
    def close_rooms(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse | None:
        """After asking: their members are removed."""
        if "confirmed" not in request.POST:
            return self._confirm_many(request, queryset)
        self._do_all(request, queryset, moderation.close_all, "Closed.")
        return None

    @admin.action(description="Open the selected rooms again", permissions=["steer"])
    def open_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Joins are let in again."""

        async def open_all(room_ids: Sequence[str]) -> None:
            await closed_rooms.open_again(*room_ids)

        self._do_all(request, queryset, open_all, "Opened.")

    @staticmethod
    def _do_all(
        request: HttpRequest,
        queryset: QuerySet[Room],
        work: Callable[[Sequence[str]], Awaitable[None]],
        text: str,
    ) -> None:
        """Do it to some rooms after the others, and write down what was done."""
        rooms, done = list(queryset), 0
        for at in range(0, len(rooms), AT_ONCE):
            some = rooms[at : at + AT_ONCE]
            if not _did(request, partial(work, [room.room_id for room in some])):
                break
            done += len(some)
            LogEntry.objects.log_actions(str(request.user.pk), some, CHANGE, text)
        if done:
            messages.success(request, f"{done} of {len(rooms)} rooms: {text.lower()}")

    def _confirm_many(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse:
        ids = list(queryset.values_list("room_id", flat=True))
        figures = live_data.ask(request, partial(live_data.figures, ids))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Close {len(ids):,} rooms?",
            "count": len(ids),
            "names": ids[:NAMED],
            "more": len(ids[NAMED:]),
            # None: nobody can tell.
            "inside": figures and sum(one.sessions or 0 for one in figures.values()),
            # The same rooms anew: their ids by thousands are more than a form takes.
            "across": request.POST.get("select_across") == "1",
            "chosen": request.POST.getlist("_selected_action"),
            "action": "close_rooms",
            "button": "Yes, close them",
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
        return f"Nobody removed: the room has {admission.MAX_BANS:,} blocks already."
    if not block_seconds:
        return f"Removed {who}." if gone else ""
    kept_out = f"kept out for {block_seconds:g} s."
    return f"Removed {who}, {kept_out}" if gone else f"Nobody removed; {who} {kept_out}"


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
