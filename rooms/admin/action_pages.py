"""The pages of actions on one room: each is confirmed, allowed and logged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from presence import admission
from rooms.admin import page_data
from rooms.models import Room

PERMISSION: Final = "rooms.steer_room"

TOO_MANY_BLOCKS: Final = (
    f"Nothing was done: the room already has {admission.MAX_BANS:,} blocks."
)

View = Callable[[HttpRequest, Room], HttpResponse]
Work = Callable[[], Awaitable[str]]
"""Acts on a room. Returns the text for its history, empty if nothing was done."""


class ActionPages(admin.ModelAdmin):  # type: ignore[type-arg]
    """Adds a page for each action, for users with the permission to moderate."""

    def has_moderate_permission(self, request: HttpRequest) -> bool:
        """Whether the user may moderate rooms. A user that cannot view them may not."""
        return request.user.has_perm(PERMISSION) and self.has_view_permission(request)

    def action_views(self) -> dict[str, View]:
        """The views of the actions, by the last part of their URL."""
        raise NotImplementedError

    def get_urls(self) -> list[Any]:
        """Django's, and one for each action."""
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(partial(self._view_of, view=view)),
                name=f"rooms_room_{name}",
            )
            for name, view in self.action_views().items()
        ]
        return [*own, *super().get_urls()]

    def _view_of(
        self, request: HttpRequest, object_id: str, view: View
    ) -> HttpResponse:
        """Show the page of an action. Raises `PermissionDenied`, `Http404`."""
        if not self.has_moderate_permission(request):
            raise PermissionDenied
        room = self.get_object(request, unquote(object_id))
        if room is None:
            raise Http404
        return view(request, room)

    def ask_first(
        self, request: HttpRequest, room: Room, work: Work, **question: str
    ) -> HttpResponse:
        """Show the question; run `work` once it is confirmed."""
        if request.method != "POST":
            return self.confirm(request, room, **question)
        return self.run(request, room, work)

    def confirm(self, request: HttpRequest, room: Room, **more: Any) -> HttpResponse:
        """Show the form or question of an action."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "room": room,
            "back": reverse("admin:rooms_room_change", args=[room.pk]),
            "media": self.media,
            **more,
        }
        return TemplateResponse(request, "admin/rooms/room/confirm.html", context)

    def run(self, request: HttpRequest, room: Room, work: Work) -> HttpResponse:
        """Run `work`, log what it did, and return to the room's page."""
        text: str | None = None
        try:
            text = page_data.run(request, work, page_data.NOT_DONE)
        except admission.TooManyBans:
            messages.error(request, TOO_MANY_BLOCKS)
        if text:
            self.log_change(request, room, text)
            messages.success(request, text)
        elif text is not None:
            messages.warning(request, "The member has left: nothing was done.")
        return HttpResponseRedirect(reverse("admin:rooms_room_change", args=[room.pk]))
