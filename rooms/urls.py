"""The HTTP routes of the REST API, of probes and of the demo page."""

from urllib.parse import unquote

from django.conf import settings
from django.urls import path, re_path, register_converter

from rooms import demo
from rooms.api import (
    events,
    health,
    history,
    moderation,
    openapi_document,
    presence,
    prometheus,
    rooms,
)
from rooms.api.plain_errors import not_found


class Segment:
    """An id in a path: decodes what `beam.asgi` left encoded."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """The id. Raises `ValueError` if it is not UTF-8: the path is not found."""
        return unquote(value, errors="strict")

    def to_url(self, value: str) -> str:
        """The id, encoded for a path."""
        return value.replace("%", "%25").replace("/", "%2F")


register_converter(Segment, "id")

ROOM = "api/v1/rooms/<id:room_id>"

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", prometheus.Metrics.as_view()),
    path("api/v1/push_room_event", events.PushRoomEvent.as_view()),
    path("api/v1/events", events.Events.as_view()),
    path("api/v1/processes", health.Processes.as_view()),
    path("api/v1/health", health.Health.as_view()),
    path("api/v1/rooms", rooms.Rooms.as_view()),
    path(ROOM, rooms.Room.as_view()),
    path(f"{ROOM}/presence", presence.Presence.as_view()),
    path(f"{ROOM}/remove", moderation.Remove.as_view()),
    path(f"{ROOM}/close", moderation.Close.as_view()),
    path(f"{ROOM}/open", moderation.Open.as_view()),
    path(f"{ROOM}/history", history.History.as_view()),
    path("api/v1/users/<id:user_id>/disconnect", moderation.Disconnect.as_view()),
]

urlpatterns += [
    path("api/schema", openapi_document.schema, name="schema"),
    path("api/docs", openapi_document.docs, name="docs"),
    # JSON also with DEBUG=1: Django would answer with a page.
    re_path(r"^api(/|$)", not_found),
]

if settings.DEBUG:
    urlpatterns += [
        path("", demo.page, name="demo"),
        path("demo/token", demo.token, name="demo-token"),
    ]
