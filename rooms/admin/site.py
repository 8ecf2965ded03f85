"""The admin site: its overview, its login, and the live view."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse

from rooms.admin import logins
from rooms.admin.consumer import may_watch
from rooms.admin.time_series import SILENT_INTERVALS
from rooms.monitoring.reporter import LIVE_TOPIC, REPORT_SECONDS


class BeamAdminSite(admin.AdminSite):
    """Django's, with a live view and limits of login attempts."""

    site_title = "Beam"
    site_header = "Beam"
    index_title = "Overview"
    index_template = "admin/beam_index.html"
    login_form = logins.LoginForm

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, with limits. Remembers the browser of a successful login."""
        response = super().login(request, extra_context)
        if request.method == "POST" and request.user.is_authenticated:
            logins.remember(request, response)
        return logins.limited(response)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Django's, with the limits of a login."""
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=logins.PasswordChangeForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return logins.limited(view(request))

    def get_urls(self) -> list[Any]:
        """Django's, and `/admin/live/`."""
        live = path("live/", self.admin_view(self.live), name="live")
        return [live, *super().get_urls()]

    def live(self, request: HttpRequest) -> HttpResponse:
        """The page of the live view, which a WebSocket updates."""
        if not may_watch(request.user):
            raise PermissionDenied
        context = {
            **self.each_context(request),
            "title": "Live view",
            "page_config": {
                "topic": LIVE_TOPIC,
                "seconds": REPORT_SECONDS,
                "silent": SILENT_INTERVALS,
                "room": reverse("admin:rooms_room_named"),
            },
        }
        return TemplateResponse(request, "admin/live.html", context)
