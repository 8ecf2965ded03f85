"""Actions of the room list: close or open many rooms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import reverse

from rooms import moderation
from rooms.admin import page_data
from rooms.models import Room
from rooms.records import closed_rooms

# Rooms per call of `rooms.moderation`.
AT_ONCE: Final = 200
# Room ids that the confirmation page lists.
MAX_LISTED: Final = 50


class BulkActions(admin.ModelAdmin):  # type: ignore[type-arg]
    """Adds actions to the room list, for users with the permission to moderate."""

    actions = ("close_rooms", "open_rooms")

    @admin.action(description="Close selected rooms", permissions=["moderate"])
    def close_rooms(
        self, request: HttpRequest, queryset: QuerySet[Room]
    ) -> HttpResponse | None:
        """Close the rooms and remove their members, once this is confirmed."""
        if "confirmed" not in request.POST:
            return self._confirm_many(request, queryset)
        self._run_on_all(request, queryset, moderation.close_all, "Closed")
        return None

    @admin.action(description="Open selected rooms", permissions=["moderate"])
    def open_rooms(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        """Accept joins again."""

        async def open_all(room_ids: Sequence[str]) -> None:
            await closed_rooms.open_again(*room_ids)

        self._run_on_all(request, queryset, open_all, "Opened")

    @staticmethod
    def _run_on_all(
        request: HttpRequest,
        queryset: QuerySet[Room],
        work: Callable[[Sequence[str]], Awaitable[None]],
        verb: str,
    ) -> None:
        """Run `work` on `AT_ONCE` rooms at a time, and log each room."""
        rooms, done = list(queryset), 0
        for at in range(0, len(rooms), AT_ONCE):
            some = rooms[at : at + AT_ONCE]
            if not _is_done(request, partial(work, [room.room_id for room in some])):
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
        stats = page_data.run(request, partial(page_data.room_stats, ids))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Close {len(ids):,} room{pluralize(len(ids))}?",
            "count": len(ids),
            "names": ids[:MAX_LISTED],
            "more": len(ids[MAX_LISTED:]),
            # None if Redis is unavailable.
            "sessions": stats and sum(one.sessions or 0 for one in stats.values()),
            # A form cannot carry thousands of ids: the query selects them again.
            "across": request.POST.get("select_across") == "1",
            "chosen": request.POST.getlist("_selected_action"),
            "action": "close_rooms",
            "button": f"Close room{pluralize(len(ids))}",
            # This page, with its query.
            "target": "",
            "back": reverse("admin:rooms_room_changelist"),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/rooms/room/close_many.html", context)


def _is_done(request: HttpRequest, work: Callable[[], Awaitable[None]]) -> bool:
    """Run `work`; False, with a message, if Redis is unavailable."""

    async def done() -> bool:
        await work()
        return True

    return page_data.run(request, done, page_data.NOT_DONE) is True
