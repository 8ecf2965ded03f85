"""The actions on one room: close, open, remove, unblock, disconnect, send."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.http import Http404, HttpRequest, HttpResponse

from presence import admission
from rooms import moderation
from rooms.admin.action_pages import ActionPages, View
from rooms.admin.forms import BLOCK, RemoveForm, SendForm, UnblockForm
from rooms.models import Room
from rooms.protocol import identifiers
from rooms.records import closed_rooms


class RoomActions(ActionPages):
    """Adds the actions on one room, and on its members."""

    def action_views(self) -> dict[str, View]:
        """See `ActionPages`."""
        return {
            "close": self._close,
            "open": self._open,
            "remove": self._remove,
            "unblock": self._unblock,
            "disconnect": self._disconnect,
            "send": self._send,
        }

    def _close(self, request: HttpRequest, room: Room) -> HttpResponse:
        async def close() -> str:
            return f"Closed. Sessions removed: {await moderation.close(room.room_id)}."

        return self.ask_first(
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

        return self.ask_first(
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
            return self.confirm(
                request,
                room,
                form=form,
                title=f"{verb} {session} {'in' if block else 'from'} room {room}?",
                text="The member receives the reason, and its channel is closed.",
                button=verb,
            )
        work = partial(_remove_member, room.room_id, session, **form.cleaned_data)
        return self.run(request, room, work)

    def _unblock(self, request: HttpRequest, room: Room) -> HttpResponse:
        form = UnblockForm(request.POST or None)
        if not form.is_valid():
            return self.confirm(
                request,
                room,
                form=form,
                title=f"Unblock a user or session in room {room}",
                text="The user or session can join again before the block expires.",
                button="Unblock",
                harmless=True,
            )
        target = form.cleaned_data["target"]

        async def unblock() -> str:
            await moderation.unblock(
                room.room_id, admission.group(target), admission.key(target)
            )
            return f"Unblocked {target}."

        return self.run(request, room, unblock)

    def _disconnect(self, request: HttpRequest, room: Room) -> HttpResponse:
        user_id = _identified(identifiers.user_id, request.GET.get("user"))

        async def disconnect() -> str:
            await moderation.disconnect(user_id)
            return f"Disconnected user {user_id}."

        return self.ask_first(
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
            return self.confirm(
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

        return self.run(request, room, send)


async def _remove_member(
    room_id: str, session: str, *, everywhere: bool, reason: str, block_seconds: float
) -> str:
    """Remove a member, or all members of its user; see `Work`."""
    user_id = session.rpartition(":")[0]
    ban = admission.group(user_id) if everywhere else admission.key(session)
    name = f"user {user_id}" if everywhere else session
    gone = await moderation.remove(
        room_id, ban, reason=reason, block_seconds=float(block_seconds)
    )
    if not block_seconds:
        return f"Removed {name}." if gone else ""
    if not gone:
        return f"Blocked {name} for {block_seconds:,} s. It was not present."
    return f"Removed {name}, blocked for {block_seconds:,} s."


def _identified(read: Callable[[object], str], given: object) -> str:
    """The session or user in a page's query. Raises `Http404`."""
    try:
        return read(given)
    except ValueError:
        raise Http404 from None
