"""Owns the HTTP routes of rooms."""

from django.conf import settings
from django.urls import path

from rooms import api, demo

urlpatterns = [
    path("healthz", api.healthz),
    path("readyz", api.readyz),
    path("api/v1/push_room_event", api.PushRoomEvent.as_view()),
    path("api/v1/events", api.Events.as_view()),
    path("api/v1/processes", api.Processes.as_view()),
    path("api/v1/health", api.Health.as_view()),
]

if settings.DEBUG:
    urlpatterns += [
        path("", demo.page, name="demo"),
        path("demo/token", demo.token, name="demo-token"),
    ]
