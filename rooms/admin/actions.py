"""Moderates one room from its page: each action is confirmed, allowed and logged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from presence import admission
from rooms import moderation
from rooms.admin import live_data
from rooms.admin.bulk_actions import BulkActions
from rooms.admin.forms import BLOCK, RemoveForm, SendForm, UnblockForm
from rooms.models import Room
from rooms.protocol import identifiers
from rooms.records import closed_rooms

PERMISSION: Final = "rooms.steer_room"

Work = Callable[[], Awaitable[str]]
"""Acts on a room. Returns the text for its history, empty if nothing was done."""


class ModeratedAdmin(BulkActions):
    """Adds a page for each action on one room."""

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may moderate rooms. A user that cannot view them may not."""
        return request.user.has_perm(PERMISSION) and self.has_view_permission(request)

    def get_urls(self) -> list[Any]:
        """Django's, and one for each action."""
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
        """Show the page of an action. Raises `PermissionDenied`, `Http404`."""
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
        session = _identified(identifiers.session, request.GET.get("session"))
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
        work = partial(_remove_member, room.room_id, session, **form.cleaned_data)
        return self._run(request, room, work)

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
            await moderation.unblock(
                room.room_id, admission.group(who), admission.key(who)
            )
            return f"Unblocked {who}."

        return self._run(request, room, unblock)

    def _disconnect(self, request: HttpRequest, room: Room) -> HttpResponse:
        user_id = _identified(identifiers.user_id, request.GET.get("user"))

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

        return self._run(request, room, send)

    def _ask_first(
        self, request: HttpRequest, room: Room, work: Work, **question: str
    ) -> HttpResponse:
        """Show the question; run `work` once it is confirmed."""
        if request.method != "POST":
            return self._confirm(request, room, **question)
        return self._run(request, room, work)

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

    def _run(self, request: HttpRequest, room: Room, work: Work) -> HttpResponse:
        """Run `work`, log what it did, and return to the room's page."""
        text = live_data.run(request, work, live_data.NOT_DONE)
        if text:
            self.log_change(request, room, text)
            messages.success(request, text)
        elif text is not None:
            messages.warning(request, "The member has left: nothing was done.")
        return HttpResponseRedirect(reverse("admin:rooms_room_change", args=[room.pk]))


async def _remove_member(
    room_id: str, session: str, *, everywhere: bool, reason: str, block_seconds: float
) -> str:
    """Remove a member, or all members of its user; see `Work`."""
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


def _identified(read: Callable[[object], str], given: object) -> str:
    """The session or user in a page's query. Raises `Http404`."""
    try:
        return read(given)
    except ValueError:
        raise Http404 from None
