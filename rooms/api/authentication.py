"""Checks who calls: a shared secret, or an API key with a scope."""

from __future__ import annotations

import hmac
import time
from typing import Final

from rest_framework import exceptions
from rest_framework.request import Request

from beam.config.conf import conf
from beam.loops import per_settings
from beam.telemetry import metrics
from rooms.auth.api_keys import SCOPES, Caller, keyring
from rooms.protocol.rate_limit import RateLimit

BACKEND: Final = Caller("secret", frozenset(SCOPES))
BEARER: Final = "bearer "
MAX_RATE_LIMITS: Final = 10_000


class NotAuthenticated(exceptions.NotAuthenticated):
    """The secret or API key is missing or wrong: one answer for both."""

    default_detail = "missing or wrong secret or API key"


async def authenticate(request: Request) -> Caller:
    """The caller of a request. Raises `NotAuthenticated`, and counts it."""
    caller = None
    if (secret := request.headers.get("secret")) is not None:
        caller = BACKEND if _is_known(secret) else None
    elif (header := request.headers.get("Authorization", ""))[:7].lower() == BEARER:
        caller = await keyring.find(header[len(BEARER) :].strip())
    if caller is None:
        metrics.API_UNAUTHORIZED.value += 1
        raise NotAuthenticated
    return caller


def _is_known(given: str) -> bool:
    """Whether a secret is valid. Compares with each in constant time."""
    secrets = [secret for secret in conf().api_secrets if secret]
    # The bytes as they were sent: headers are decoded as Latin-1.
    given_bytes = given.encode("latin-1", errors="replace")
    matches = [hmac.compare_digest(given_bytes, known.encode()) for known in secrets]
    return any(matches)


def check_scope(caller: Caller, scope: str | None) -> None:
    """Raises `PermissionDenied` if the key lacks the scope, and counts it."""
    if scope is not None and scope not in caller.scopes:
        metrics.API_FORBIDDEN.value += 1
        raise exceptions.PermissionDenied(f"the API key lacks the scope {scope}")


def check_rate(caller: Caller) -> None:
    """Raises `Throttled` if the caller is above `api_rate`, and counts it."""
    rate_limits = _rate_limits()
    if len(rate_limits) > MAX_RATE_LIMITS:
        rate_limits.clear()
    if (rate_limit := rate_limits.get(caller.name)) is None:
        rate_limit = rate_limits[caller.name] = RateLimit(
            conf().api_rate, conf().api_burst
        )
    if wait := rate_limit.try_spend(1, time.monotonic()):
        metrics.API_LIMITED.value += 1
        raise exceptions.Throttled(wait)


@per_settings
def _rate_limits() -> dict[str, RateLimit]:
    """The rate limit of each caller, by its name."""
    return {}
