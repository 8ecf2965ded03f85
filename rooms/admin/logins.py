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
from rooms.admin.login_limits import guesses
from rooms.auth.client_ip import client_ip, counted_ip

logger = logging.getLogger(__name__)

COOKIE: Final = "beam_browser"
COOKIE_SECONDS: Final = 90 * 86_400
BUSY_SECONDS: Final = 3
LIMITED: Final = "Too many attempts. Try again in %(seconds)d seconds."
# In place of an address, for what only a logged in admin can try.
LOGGED_IN: Final = "logged in"
_flood = Flood()

Response = TypeVar("Response", bound=HttpResponseBase)


class LoginForm(AdminAuthenticationForm):
    """Django's, which refuses to check a password that is tried too often."""

    wait = 0

    def clean(self) -> dict[str, Any]:
        """Raises `ValidationError` for a wrong password, and for too many."""
        account = self.cleaned_data.get("username")
        if account is None or not self.cleaned_data.get("password"):
            return super().clean()
        # Django always gives the request.
        request: Any = self.request
        source = account, address_of(request), browser_of(request, account)
        if wait := guesses.ask(*source, time.monotonic()):
            _refuse(self, wait, source[1])
        with guesses.checking(source[2]) as may_check:
            if not may_check:
                guesses.give_back(*source, time.monotonic())
                _refuse(self, BUSY_SECONDS, source[1])
            try:
                cleaned = super().clean()
            except ValidationError:
                metrics.LOGINS_FAILED.value += 1
                raise
            except DatabaseError:
                guesses.give_back(*source, time.monotonic())
                raise
        guesses.succeeded(*source, time.monotonic())
        return cleaned


class PasswordChangeForm(AdminPasswordChangeForm):
    """The same for the old password: a session alone must not find it out."""

    wait = 0

    def clean_old_password(self) -> str:
        """Raises `ValidationError` for a wrong password, and for too many."""
        source = self.user.get_username(), LOGGED_IN, LOGGED_IN
        if wait := guesses.ask(*source, time.monotonic()):
            _refuse(self, wait, LOGGED_IN)
        with guesses.checking(LOGGED_IN) as may_check:
            if not may_check:
                guesses.give_back(*source, time.monotonic())
                _refuse(self, BUSY_SECONDS, LOGGED_IN)
            old: str = super().clean_old_password()
        guesses.succeeded(*source, time.monotonic())
        return old


def _refuse(form: LoginForm | PasswordChangeForm, wait: float, source: str) -> None:
    """Raises `ValidationError`; the answer will be 429."""
    form.wait = math.ceil(wait)
    metrics.LOGINS_LIMITED.value += 1
    if (missed := _flood.next(time.monotonic())) is not None:
        text = (
            "Too many login attempts in the admin: %s (%d more since the last message)"
        )
        logger.warning(text, source, missed)
    raise ValidationError(LIMITED, params={"seconds": form.wait}, code="limited")


def limited(response: Response) -> Response:
    """The response, as 429 if its form was not checked for too many attempts."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if wait := getattr(form, "wait", 0):
        response.status_code = 429
        response["Retry-After"] = str(wait)
    return response


def address_of(request: HttpRequest) -> str:
    """The client's address, as limits count it."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return counted_ip(client_ip(request.META.get("REMOTE_ADDR", ""), forwarded))


def browser_of(request: HttpRequest, account: str) -> str:
    """The id of a browser that logged in to this account before; else empty."""
    value = request.get_signed_cookie(COOKIE, "", COOKIE, COOKIE_SECONDS) or ""
    named, _, browser = value.partition(":")
    return browser if named == _digest(account) else ""


def remember(request: HttpRequest, response: HttpResponse) -> None:
    """Have the browser say next time that it logged in to this account."""
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
