"""The admin's forms that check a password, within the limits of `login_limits`."""

from __future__ import annotations

import logging
import math
import secrets
import time
from hashlib import sha256
from typing import Any, Final, TypeVar

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from beam.telemetry import metrics
from beam.telemetry.logs import Flood
from rooms.admin.login_limits import login_limits
from rooms.auth.client_ip import client_ip, counted_ip

logger = logging.getLogger(__name__)

COOKIE: Final = "beam_browser"
COOKIE_SECONDS: Final = 90 * 86_400
BUSY_SECONDS: Final = 3
LIMITED: Final = "Too many attempts. Try again in %(seconds)d seconds."
# The source of attempts that only a logged in user can make.
LOGGED_IN: Final = "a logged in user"
_flood = Flood()

Response = TypeVar("Response", bound=HttpResponseBase)


class LoginForm(AdminAuthenticationForm):
    """Django's, with a limit of login attempts."""

    wait = 0

    def clean(self) -> dict[str, Any]:
        """Raises `ValidationError` for a wrong password, and above the limits."""
        account = self.cleaned_data.get("username")
        if account is None or not self.cleaned_data.get("password"):
            return super().clean()
        # Django always passes the request.
        request: Any = self.request
        source = account, address_of(request), browser_of(request, account)
        if wait := login_limits.attempt(*source, time.monotonic()):
            _refuse(self, wait, source[1])
        with login_limits.checking(source[2]) as may_check:
            if not may_check:
                login_limits.uncount(*source, time.monotonic())
                _refuse(self, BUSY_SECONDS, source[1])
            try:
                cleaned = super().clean()
            except ValidationError:
                metrics.LOGINS_FAILED.value += 1
                raise
            except DatabaseError:
                login_limits.uncount(*source, time.monotonic())
                raise
        login_limits.succeeded(*source, time.monotonic())
        return cleaned


class PasswordChangeForm(AdminPasswordChangeForm):
    """Django's, with a limit: a stolen session must not reveal the old password."""

    wait = 0

    def clean_old_password(self) -> str:
        """Raises `ValidationError` for a wrong password, and above the limits."""
        source = self.user.get_username(), LOGGED_IN, LOGGED_IN
        if wait := login_limits.attempt(*source, time.monotonic()):
            _refuse(self, wait, LOGGED_IN)
        with login_limits.checking(LOGGED_IN) as may_check:
            if not may_check:
                login_limits.uncount(*source, time.monotonic())
                _refuse(self, BUSY_SECONDS, LOGGED_IN)
            old: str = super().clean_old_password()
        login_limits.succeeded(*source, time.monotonic())
        return old


def _refuse(form: LoginForm | PasswordChangeForm, wait: float, source: str) -> None:
    """Raise `ValidationError`; `limited` then makes the response a 429."""
    form.wait = math.ceil(wait)
    metrics.LOGINS_LIMITED.value += 1
    if (missed := _flood.next(time.monotonic())) is not None:
        text = "Too many login attempts in the admin, from %s; not logged before: %d"
        logger.warning(text, source, missed)
    raise ValidationError(LIMITED, params={"seconds": form.wait}, code="limited")


def limited(response: Response) -> Response:
    """The response, with status 429 if its form exceeded a limit."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if wait := getattr(form, "wait", 0):
        response.status_code = 429
        response["Retry-After"] = str(wait)
    return response


def address_of(request: HttpRequest) -> str:
    """The client IP, as limits count it."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return counted_ip(client_ip(request.META.get("REMOTE_ADDR", ""), forwarded))


def browser_of(request: HttpRequest, account: str) -> str:
    """The id of a browser that has logged in to this account before; else empty."""
    value = request.get_signed_cookie(COOKIE, "", COOKIE, COOKIE_SECONDS) or ""
    named, _, browser = value.partition(":")
    return browser if named == _digest(account) else ""


def remember(request: HttpRequest, response: HttpResponse) -> None:
    """Set the cookie that says that the browser has logged in to this account."""
    response.set_signed_cookie(
        COOKIE,
        f"{_digest(request.user.get_username())}:{secrets.token_urlsafe(12)}",
        salt=COOKIE,
        max_age=COOKIE_SECONDS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _digest(account: str) -> str:
    return sha256(account.encode(errors="surrogatepass")).hexdigest()[:32]
