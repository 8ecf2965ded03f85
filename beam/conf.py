"""Owns Beam's settings: every one typed, with a default, checked at start.

`settings.BEAM` overrides by name. `docs/settings.md` has a row for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from beam import public_keys, redis_url


@dataclass(frozen=True, slots=True)
class Conf:
    """Beam's settings. Sizes are bytes, times are seconds."""

    api_secrets: tuple[str, ...] = field(default=(), repr=False)
    token_secrets: tuple[str, ...] = field(default=(), repr=False)
    token_public_key: str = ""
    token_jwks_url: str = ""
    token_issuer: str = ""
    token_audience: str = ""
    token_user_claim: str = "user_id"
    token_room_claim: str = "room_id"
    token_leeway: float = 30.0
    token_grace: float = 60.0
    jwks_seconds: float = 300.0
    jwks_retry: float = 30.0
    backend_url: str = ""
    backend_timeout: float = 2.0
    backend_cache_seconds: float = 30.0
    backend_failures: int = 5
    backend_pause: float = 5.0
    verifier: str = "rooms.access.default_verifier"
    # None: any origin. Empty: the host that was asked.
    allowed_origins: tuple[str, ...] | None = ()
    redis_url: str = ""
    redis_prefix: str = "beam"
    redis_timeout: float = 2.0
    lease_seconds: float = 15.0
    lease_renew: float = 5.0
    channels: dict[str, str] = field(default_factory=dict)
    presence_window: float = 0.05
    presence_grace: float = 0.0
    room_capacity: int = 0
    room_policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    idle_timeout: float = 60.0
    inbound_rate: float = 2_000.0
    inbound_burst: float = 1_000.0
    join_rate: float = 5_000.0
    join_burst: float = 20_000.0
    api_rate: float = 5_000.0
    api_burst: float = 5_000.0
    max_user_connections: int = 0
    max_ip_connections: int = 0
    trusted_proxies: int = 0
    proxy_networks: str = ""
    metrics_allow: str = ""
    max_channels: int = 100
    max_message_bytes: int = 65_536
    max_message_depth: int = 64
    max_batch_bytes: int = 1_048_576
    max_batch_rooms: int = 1_000
    max_meta_bytes: int = 4_096
    max_frame_bytes: int = 1_048_576
    outbound_limit: int = 1_048_576
    drain_seconds: float = 10.0
    drain_batch: int = 200


POSITIVE = (
    "jwks_seconds",
    "jwks_retry",
    "backend_timeout",
    "backend_failures",
    "redis_timeout",
    "lease_seconds",
    "lease_renew",
    "idle_timeout",
    "inbound_rate",
    "inbound_burst",
    "join_rate",
    "join_burst",
    "api_rate",
    "api_burst",
    "max_channels",
    "max_message_bytes",
    "max_message_depth",
    "max_batch_bytes",
    "max_meta_bytes",
    "max_frame_bytes",
    "outbound_limit",
    "drain_batch",
)
DEEPEST_MESSAGE = 1_000


@cache
def conf() -> Conf:
    """The settings in force. Raises `TypeError` for a name that is none."""
    return Conf(**getattr(settings, "BEAM", {}))


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables `BEAM_<NAME>` give: numbers and texts.

    Raises `ImproperlyConfigured` for a number that is none.
    """
    given: dict[str, Any] = {}
    for item in fields(Conf):
        variable = f"BEAM_{item.name.upper()}"
        text = environ.get(variable, "").strip()
        kind = type(item.default)
        if not text or kind not in (int, float, str):
            continue
        try:
            given[item.name] = kind(text)
        except ValueError:
            message = f"{variable} is a number, not {text!r}."
            raise ImproperlyConfigured(message) from None
    return given


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "BEAM":
        conf.cache_clear()


# Connected by name: `@setting_changed.connect` would return None.
setting_changed.connect(_forget)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks of a comma-separated list. Raises `ValueError`."""
    parts = (part.strip() for part in text.split(","))
    return tuple(ip_network(part) for part in parts if part)


@register
def check_settings(**_: Any) -> list[CheckMessage]:
    """Unknown names (E001) and absurd values (E002 to E006) of `settings.BEAM`."""
    given = getattr(settings, "BEAM", {})
    known = {item.name for item in fields(Conf)}
    problems: list[CheckMessage] = [
        Error(
            f"BEAM has no setting {name!r}.",
            hint="docs/settings.md lists them all.",
            id="beam.E001",
        )
        for name in sorted(set(given) - known)
    ]
    if problems:
        return problems
    current = Conf(**given)
    return [*_check_numbers(current), *_check_texts(current)]


def _check_numbers(current: Conf) -> Iterator[CheckMessage]:
    for name in POSITIVE:
        if not getattr(current, name) > 0:
            yield Error(f"BEAM[{name!r}] must be above 0.", id="beam.E002")
    if current.max_message_depth > DEEPEST_MESSAGE:
        yield Error(
            f"BEAM['max_message_depth'] is at most {DEEPEST_MESSAGE}.", id="beam.E003"
        )
    if current.lease_renew * 2 > current.lease_seconds:
        yield Error(
            "BEAM['lease_seconds'] is less than twice BEAM['lease_renew'].",
            hint="One renewal that comes late must not end a lease.",
            id="beam.E003",
        )
    if current.max_message_bytes > current.max_frame_bytes:
        yield Error(
            "BEAM['max_message_bytes'] is above BEAM['max_frame_bytes'].",
            hint="A message travels in one frame.",
            id="beam.E003",
        )


def _check_texts(current: Conf) -> Iterator[CheckMessage]:
    if current.redis_url:
        try:
            redis_url.parse(current.redis_url)
        except redis_url.BadUrl as error:
            hint = "docs/operations.md shows every form."
            yield Error(f"REDIS_URL: {error}", hint=hint, id="beam.E004")
    try:
        networks(current.metrics_allow)
    except ValueError as error:
        yield Error(f"BEAM_METRICS_ALLOW: {error}", id="beam.E006")
    if current.token_public_key:
        try:
            public_keys.from_pem(current.token_public_key)
        except public_keys.BadKey as error:
            yield Error(f"BEAM_TOKEN_PUBLIC_KEY: {error}", id="beam.E005")
