"""Owns Beam's settings: every one typed, with a default, checked at start.

`settings.BEAM` overrides by name. `docs/settings.md` has a row for each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from beam.config import environment, origins, public_keys, redis_url


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
    verifier: str = "rooms.auth.verifier.default_verifier"
    # None: any origin. Empty: the host that was asked.
    allowed_origins: tuple[str, ...] | None = ()
    redis_url: str = ""
    redis_prefix: str = "beam"
    redis_timeout: float = 2.0
    redis_start_timeout: float = 5.0
    lease_seconds: float = 15.0
    lease_renew: float = 5.0
    channels: dict[str, str] = field(default_factory=dict)
    presence_window: float = 0.05
    presence_grace: float = 0.0
    room_capacity: int = 0
    room_user_sessions: int = 100
    room_presence_bytes: int = 16_777_216
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
    room_row_seconds: float = 60.0
    room_rows: int = 100_000
    forget_days: int = 30
    max_pages: int = 6
    login_attempts: int = 5
    login_pause: float = 60.0
    max_channels: int = 100
    max_message_bytes: int = 65_536
    max_message_depth: int = 64
    max_batch_bytes: int = 1_048_576
    max_batch_rooms: int = 1_000
    max_recipients: int = 1_000
    max_meta_bytes: int = 4_096
    max_frame_bytes: int = 1_048_576
    inbound_limit: int = 1_048_576
    outbound_limit: int = 1_048_576
    strict_json: int = 0
    fast_failures: int = 20
    outbound_seconds: float = 10.0
    max_presence_bytes: int = 1_000_000
    drain_seconds: float = 10.0
    drain_batch: int = 200


class Range(NamedTuple):
    """What a number may be, both ends among it."""

    least: float
    most: float


SHORTEST: Final = 0.001
# What asyncio waits for at most, and longer than anything here is good for.
DAY: Final = 86_400
MOST: Final = 1_000_000_000

# Every number of `Conf` is in one of these, and in one only: a test sees to it.
RANGES: Final[dict[Range, tuple[str, ...]]] = {
    # Seconds.
    Range(SHORTEST, DAY): (
        "jwks_seconds",
        "jwks_retry",
        "backend_timeout",
        "redis_timeout",
        "lease_seconds",
        "lease_renew",
        "idle_timeout",
        "login_pause",
        "outbound_seconds",
    ),
    Range(0, DAY): (
        "token_leeway",
        "backend_cache_seconds",
        "backend_pause",
        "presence_window",
        "presence_grace",
        "redis_start_timeout",
        "drain_seconds",
        "room_row_seconds",
    ),
    # Below 0: never.
    Range(-MOST, DAY): ("token_grace",),
    # Units a second.
    Range(SHORTEST, MOST): ("inbound_rate", "join_rate", "api_rate"),
    # Counts and bytes. A burst below 1 would let nothing in.
    Range(1, MOST): (
        "inbound_burst",
        "join_burst",
        "api_burst",
        "backend_failures",
        "max_pages",
        "login_attempts",
        "max_channels",
        "max_message_bytes",
        "max_message_depth",
        "max_batch_bytes",
        "max_batch_rooms",
        "max_recipients",
        "max_meta_bytes",
        "max_frame_bytes",
        "inbound_limit",
        "outbound_limit",
        "max_presence_bytes",
        "drain_batch",
    ),
    # 0: off, 1: on.
    Range(0, 1): ("strict_json",),
    # 0: any number, or none of them.
    Range(0, MOST): (
        "room_capacity",
        "room_user_sessions",
        "room_presence_bytes",
        "fast_failures",
        "room_rows",
        "forget_days",
        "max_user_connections",
        "max_ip_connections",
        "trusted_proxies",
    ),
}
DEEPEST_MESSAGE: Final = 1_000
# What `room_policies` may say, and the setting that it says for some rooms.
POLICIES: Final = {
    "presence_grace": "presence_grace",
    "capacity": "room_capacity",
    "user_sessions": "room_user_sessions",
    "presence_bytes": "room_presence_bytes",
}
# Redis's patterns (of SCAN and ACLs) and hash tags give other characters a meaning.
PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
# What RFC 7518 asks of an HS256 key.
GOOD_TOKEN_SECRET: Final = 32
GOOD_API_SECRET: Final = 16
GOOD_SECRET_KEY: Final = 32
# How a key of a pair looks that somebody took for a secret.
PEM: Final = "-----BEGIN"
SSH: Final = ("ssh-", "ecdsa-sha2-")


def variable_of(name: str) -> str:
    """The variable that sets `settings.BEAM[name]`, where one does."""
    return f"{environment.PREFIX}{name.upper()}"


# Every variable that begins with `BEAM_` and has an effect.
VARIABLES: Final = frozenset(
    {
        "BEAM_API_SECRET",
        "BEAM_TOKEN_SECRET",
        "BEAM_ALLOWED_ORIGINS",
        "BEAM_LOG_TEXT",
        *(
            variable_of(item.name)
            for item in fields(Conf)
            if type(item.default) in (int, float, str) and item.name != "redis_url"
        ),
    }
)


@cache
def conf() -> Conf:
    """The settings in force. Raises `TypeError` for a name that is none."""
    return Conf(**getattr(settings, "BEAM", {}))


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that variables `BEAM_<NAME>` give: numbers and texts.

    Raises `ImproperlyConfigured` for a value that is not a number where one belongs.
    """
    given: dict[str, Any] = {}
    for item in fields(Conf):
        variable = variable_of(item.name)
        text = environ.get(variable, "").strip()
        kind = type(item.default)
        if not text or variable not in VARIABLES or kind not in (int, float, str):
            continue
        try:
            given[item.name] = kind(text)
        except ValueError:
            wanted = _wanted_number(item.name, text)
            message = f"{variable} must be {wanted}, not {environment.shown(text)}."
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


def size_of(secret: str) -> int:
    """How many bytes a secret has."""
    # The environment may hold what is no UTF-8: that must not raise, as the
    # traceback would show it.
    return len(secret.encode(errors="replace"))


@register
def check_settings(**_: Any) -> list[CheckMessage]:
    """What is wrong with `settings.BEAM`.

    Errors: unknown names (E001), numbers out of range (E002) or that do not go
    together (E003), bad addresses of Redis (E004), public keys (E005), networks
    (E006), kinds of values (E007), URLs (E008), dotted paths (E009), claims (E010),
    policies (E011), a public key for a secret (E012), origins (E013), the
    deployment's name (E014). Warnings: unknown variables (W005); with `DEBUG=0`
    short secrets (W001, W002, W003) and statistics that everybody may read (W004).
    No message holds a secret.
    """
    return [*_check_given(), *_check_environment(os.environ)]


def _check_given() -> list[CheckMessage]:
    given = getattr(settings, "BEAM", {})
    if unknown := [*_check_names(given)]:
        return unknown
    current = Conf(**given)
    # The other checks rely on the kinds.
    return [*_check_values(current)] or [
        *_check_relations(current),
        *_check_texts(current),
        *_check_prefix(current),
        *_check_urls(current),
        *_check_origins(current),
        *_check_paths(current),
        *_check_claims(current),
        *_check_policies(current),
        *_check_secrets(current),
        *([] if settings.DEBUG else _check_weak(current)),
    ]


def _check_environment(environ: Mapping[str, str]) -> Iterator[CheckMessage]:
    by_settings_only = {i.name for i in fields(Conf) if str(i.type).startswith("dict")}
    for name, nearest in environment.unknown(environ, VARIABLES):
        field_name = name.removeprefix(environment.PREFIX).lower()
        if field_name in by_settings_only:
            hint = f"Only Django settings set it: settings.BEAM[{field_name!r}]."
        elif nearest:
            hint = f"Did you mean {nearest}?"
        else:
            hint = "docs/settings.md lists every variable."
        told = f"The environment variable {name} has no effect: Beam does not know it."
        yield Warning(told, hint=hint, id="beam.W005")


def _check_names(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    known = {item.name for item in fields(Conf)}
    for name in sorted(set(given) - known):
        hint = "docs/settings.md lists them all."
        yield Error(f"BEAM has no setting {name!r}.", hint=hint, id="beam.E001")


def _check_values(current: Conf) -> Iterator[CheckMessage]:
    for item in fields(Conf):
        value = getattr(current, item.name)
        if type(item.default) in (int, float):
            if wanted := _wanted_number(item.name, value):
                told = f"BEAM[{item.name!r}] must be {wanted}, not {value!r}."
                hint = f"The environment variable {variable_of(item.name)} sets it."
                yield Error(told, hint=hint, id="beam.E002")
            continue
        is_good, wanted = KINDS[str(item.type)]
        if not is_good(value):
            yield Error(f"BEAM[{item.name!r}] must be {wanted}.", id="beam.E007")


def _wanted_number(name: str, value: Any) -> str:
    """What this number must be and `value` is not; empty where it is."""
    is_whole = type(getattr(Conf(), name)) is int
    least, most = next(each for each, names in RANGES.items() if name in names)
    # Not NaN, which is neither below nor above anything.
    if type(value) in ((int,) if is_whole else (int, float)) and least <= value <= most:
        return ""
    return f"a {'whole ' if is_whole else ''}number from {least:,} to {most:,}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    """Not a text, whose every letter would be one, nor an empty one among them."""
    return isinstance(value, list | tuple) and all(
        isinstance(each, str) and each for each in value
    )


def _are_texts_or_none(value: object) -> bool:
    return value is None or _are_texts(value)


def _are_named_texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))


def _are_named_dicts(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_is_text, value))
        and all(isinstance(each, dict) for each in value.values())
    )


# By the annotation of a field that is no number.
KINDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "str": (_is_text, "a text"),
    "tuple[str, ...]": (_are_texts, "a tuple of texts, none of them empty"),
    "tuple[str, ...] | None": (
        _are_texts_or_none,
        "None or a tuple of texts, none of them empty",
    ),
    "dict[str, str]": (_are_named_texts, "a dict of texts"),
    "dict[str, dict[str, Any]]": (_are_named_dicts, "a dict of dicts"),
}


def _check_relations(current: Conf) -> Iterator[CheckMessage]:
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
    if current.token_public_key:
        try:
            public_keys.from_pem(current.token_public_key)
        except public_keys.BadKey as error:
            yield Error(f"BEAM_TOKEN_PUBLIC_KEY: {error}", id="beam.E005")
    for name in ("metrics_allow", "proxy_networks"):
        try:
            networks(getattr(current, name))
        except ValueError as error:
            yield Error(f"BEAM_{name.upper()}: {error}", id="beam.E006")


def _check_prefix(current: Conf) -> Iterator[CheckMessage]:
    if not PREFIX.fullmatch(current.redis_prefix):
        yield Error(
            f"BEAM['redis_prefix'] is {current.redis_prefix!r}. Accepted are 1 to 64 "
            "of the characters A-Z a-z 0-9 _ . : -",
            hint="It names the deployment, and begins its keys and channels in Redis.",
            id="beam.E014",
        )


def _check_urls(current: Conf) -> Iterator[CheckMessage]:
    for name in ("token_jwks_url", "backend_url"):
        url = getattr(current, name)
        if url and not _is_web(url):
            # Without the URL, which may hold a password.
            told = f"BEAM_{name.upper()} is no URL of http or https with a host."
            hint = "Such as https://example.com/path"
            yield Error(told, hint=hint, id="beam.E008")


def _check_origins(current: Conf) -> Iterator[CheckMessage]:
    for entry in current.allowed_origins or ():
        try:
            origins.read(entry)
        except origins.BadOrigin as error:
            told = f"BEAM_ALLOWED_ORIGINS: {entry!r} {error}."
            yield Error(told, hint=f"Forms: {origins.FORMS}", id="beam.E013")


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    is_clean = url.isprintable() and " " not in url
    return parts.scheme in {"http", "https"} and bool(host) and port != 0 and is_clean


def _check_paths(current: Conf) -> Iterator[CheckMessage]:
    paths = {"BEAM['verifier']": current.verifier}
    for pattern, path in current.channels.items():
        paths[f"BEAM['channels'][{pattern!r}]"] = path
    hint = "A dotted path to a class or a function: package.module.name"
    for name, path in paths.items():
        try:
            found = import_string(path)
        # The latter two for a path that begins with a dot.
        except (ImportError, ValueError, TypeError) as error:
            yield Error(f"{name}: {error}", hint=hint, id="beam.E009")
            continue
        if not callable(found):
            told = f"{name}: {path} cannot be called."
            yield Error(told, hint=hint, id="beam.E009")


def _check_claims(current: Conf) -> Iterator[CheckMessage]:
    own = Conf()
    users = {current.token_user_claim, own.token_user_claim}
    rooms = {current.token_room_claim, own.token_room_claim}
    for name in ("token_user_claim", "token_room_claim"):
        if not getattr(current, name).strip():
            yield Error(f"BEAM[{name!r}] is empty.", id="beam.E010")
    if users & rooms:
        yield Error(
            "BEAM['token_user_claim'] and BEAM['token_room_claim'] do not differ, or "
            "one is what the other is by default.",
            hint="A claim that named both would make a user's token one of a room.",
            id="beam.E010",
        )


def _check_policies(current: Conf) -> Iterator[CheckMessage]:
    for pattern, policy in current.room_policies.items():
        for name, value in policy.items():
            if problem := _wrong_policy(name, value):
                told = f"BEAM['room_policies'][{pattern!r}]: {name!r} {problem}."
                yield Error(told, id="beam.E011")


def _wrong_policy(name: str, value: object) -> str:
    if name not in POLICIES:
        return f"is not among {', '.join(POLICIES)}"
    wanted = _wanted_number(POLICIES[name], value)
    return f"must be {wanted}, not {value!r}" if wanted else ""


def _check_secrets(current: Conf) -> Iterator[CheckMessage]:
    if any(PEM in each or each.startswith(SSH) for each in current.token_secrets):
        yield Error(
            "BEAM_TOKEN_SECRET holds a key of a pair, where a shared secret belongs.",
            hint="Public keys are for BEAM_TOKEN_PUBLIC_KEY.",
            id="beam.E012",
        )


def _check_weak(current: Conf) -> Iterator[CheckMessage]:
    if any(size_of(secret) < GOOD_TOKEN_SECRET for secret in current.token_secrets):
        yield Warning(
            f"BEAM_TOKEN_SECRET has an item of less than {GOOD_TOKEN_SECRET} bytes.",
            hint="Whoever holds a token can try out short ones.",
            id="beam.W001",
        )
    if any(len(secret) < GOOD_API_SECRET for secret in current.api_secrets):
        yield Warning(
            f"BEAM_API_SECRET has an item of less than {GOOD_API_SECRET} characters.",
            hint="It may do everything: a random one costs nothing.",
            id="beam.W002",
        )
    if len(settings.SECRET_KEY) < GOOD_SECRET_KEY:
        yield Warning(
            f"SECRET_KEY has less than {GOOD_SECRET_KEY} characters.",
            hint="It signs the sessions of admins.",
            id="beam.W003",
        )
    with suppress(ValueError):
        if any(each.prefixlen == 0 for each in networks(current.metrics_allow)):
            yield Warning(
                "BEAM_METRICS_ALLOW lets every address read /metrics.",
                hint="Name networks of your own: 10.0.0.0/8",
                id="beam.W004",
            )
