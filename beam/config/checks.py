"""System checks of `settings.BEAM` and of environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004
from django.utils.module_loading import import_string

from beam.config import (
    environment,
    misspelled_variables,
    origins,
    public_keys,
    redis_url,
    secrets,
)
from beam.config.conf import Conf, networks
from beam.config.environment import VARIABLES, variable_of
from beam.config.ranges import wanted_number

DEEPEST_MESSAGE: Final = 1_000
# The names in `room_policies`, and the settings that they override.
POLICIES: Final = {
    "presence_grace": "presence_grace",
    "capacity": "room_capacity",
    "user_sessions": "room_user_sessions",
    "presence_bytes": "room_presence_bytes",
}
# Other characters have a meaning in patterns of SCAN and ACLs, and in hash tags.
PREFIX: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@register
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check `settings.BEAM`, and the names of environment variables.

    Errors: unknown names (E001), numbers out of range (E002) or that contradict each
    other (E003), `REDIS_URL` (E004), public keys (E005), networks (E006), types
    (E007), URLs (E008), dotted paths (E009), claims (E010), room policies (E011), keys
    in place of secrets (E012), origins (E013), `redis_prefix` (E014). Warnings:
    unknown variables (W005); with `DEBUG=0` short secrets (W001, W002, W003) and
    public `/metrics` (W004). No message contains a secret.
    """
    return [*_check_given(), *_check_environment(os.environ)]


def _check_given() -> list[CheckMessage]:
    given = getattr(settings, "BEAM", {})
    if unknown := [*_check_names(given)]:
        return unknown
    current = Conf(**given)
    # The other checks need values of the right types.
    return [*_check_values(current)] or [
        *_check_relations(current),
        *_check_texts(current),
        *_check_prefix(current),
        *_check_urls(current),
        *_check_origins(current),
        *_check_paths(current),
        *_check_claims(current),
        *_check_policies(current),
        *secrets.check_kinds(current),
        *([] if settings.DEBUG else secrets.check_strength(current)),
    ]


def _check_environment(environ: Mapping[str, str]) -> Iterator[CheckMessage]:
    by_settings_only = {i.name for i in fields(Conf) if str(i.type).startswith("dict")}
    for name, nearest in misspelled_variables.unknown(environ, VARIABLES):
        field_name = name.removeprefix(environment.PREFIX).lower()
        if field_name in by_settings_only:
            hint = f"Only Django settings set it: settings.BEAM[{field_name!r}]."
        elif nearest:
            hint = f"Did you mean {nearest}?"
        else:
            hint = "docs/settings.md lists every variable."
        text = f"The environment variable {name} has no effect: Beam does not know it."
        yield Warning(text, hint=hint, id="beam.W005")


def _check_names(given: Mapping[str, Any]) -> Iterator[CheckMessage]:
    known = {item.name for item in fields(Conf)}
    for name in sorted(set(given) - known):
        hint = "docs/settings.md lists all settings."
        yield Error(f"BEAM has no setting {name!r}.", hint=hint, id="beam.E001")


def _check_values(current: Conf) -> Iterator[CheckMessage]:
    for item in fields(Conf):
        value = getattr(current, item.name)
        if type(item.default) in (int, float):
            if wanted := wanted_number(item.name, value):
                text = f"BEAM[{item.name!r}] must be {wanted}, not {value!r}."
                hint = f"The environment variable {variable_of(item.name)} sets it."
                yield Error(text, hint=hint, id="beam.E002")
            continue
        is_good, wanted = KINDS[str(item.type)]
        if not is_good(value):
            yield Error(f"BEAM[{item.name!r}] must be {wanted}.", id="beam.E007")


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _are_strings(value: object) -> bool:
    """A list or tuple of strings that are not empty; not a single string."""
    return isinstance(value, list | tuple) and all(
        isinstance(each, str) and each for each in value
    )


def _are_strings_or_none(value: object) -> bool:
    return value is None or _are_strings(value)


def _are_named_strings(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_string, (*value, *value.values())))


def _are_named_dicts(value: object) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_is_string, value))
        and all(isinstance(each, dict) for each in value.values())
    )


# Validators by the annotation of a field, for all but numbers.
KINDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "str": (_is_string, "a string"),
    "tuple[str, ...]": (_are_strings, "a tuple of strings that are not empty"),
    "tuple[str, ...] | None": (
        _are_strings_or_none,
        "None or a tuple of strings that are not empty",
    ),
    "dict[str, str]": (_are_named_strings, "a dict of strings"),
    "dict[str, dict[str, Any]]": (_are_named_dicts, "a dict of dicts"),
}


def _check_relations(current: Conf) -> Iterator[CheckMessage]:
    if current.max_message_depth > DEEPEST_MESSAGE:
        yield Error(
            f"BEAM['max_message_depth'] must be at most {DEEPEST_MESSAGE}.",
            id="beam.E003",
        )
    if current.lease_renew * 2 > current.lease_seconds:
        yield Error(
            "BEAM['lease_seconds'] must be at least twice BEAM['lease_renew'].",
            hint="A lease must survive one late renewal.",
            id="beam.E003",
        )
    if current.max_message_bytes > current.max_frame_bytes:
        yield Error(
            "BEAM['max_message_bytes'] must not be above BEAM['max_frame_bytes'].",
            hint="A message is sent in one frame.",
            id="beam.E003",
        )


def _check_texts(current: Conf) -> Iterator[CheckMessage]:
    if current.redis_url:
        try:
            redis_url.parse(current.redis_url)
        except redis_url.BadUrl as error:
            hint = "docs/operations.md shows all forms."
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
            f"BEAM['redis_prefix'] must be 1 to 64 of the characters A-Z a-z 0-9 _ . : "
            f"-, not {current.redis_prefix!r}.",
            hint="It names the deployment: its keys and channels in Redis begin with "
            "it.",
            id="beam.E014",
        )


def _check_urls(current: Conf) -> Iterator[CheckMessage]:
    for name in ("token_jwks_url", "backend_url"):
        url = getattr(current, name)
        if url and not _is_web(url):
            # Without the URL, which may contain a password.
            text = f"BEAM_{name.upper()} must be an http or https URL with a host."
            hint = "Such as https://example.com/path"
            yield Error(text, hint=hint, id="beam.E008")


def _check_origins(current: Conf) -> Iterator[CheckMessage]:
    for entry in current.allowed_origins or ():
        try:
            origins.read(entry)
        except origins.BadOrigin as error:
            text = f"BEAM_ALLOWED_ORIGINS: {entry!r} {error}."
            yield Error(text, hint=f"Accepted forms: {origins.FORMS}", id="beam.E013")


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
    hint = "It must be a dotted path of a class or function: package.module.name"
    for name, path in paths.items():
        try:
            found = import_string(path)
        # ValueError and TypeError: for a path that begins with a dot.
        except (ImportError, ValueError, TypeError) as error:
            yield Error(f"{name}: {error}", hint=hint, id="beam.E009")
            continue
        if not callable(found):
            text = f"{name}: {path} cannot be called."
            yield Error(text, hint=hint, id="beam.E009")


def _check_claims(current: Conf) -> Iterator[CheckMessage]:
    own = Conf()
    users = {current.token_user_claim, own.token_user_claim}
    rooms = {current.token_room_claim, own.token_room_claim}
    for name in ("token_user_claim", "token_room_claim"):
        if not getattr(current, name).strip():
            yield Error(f"BEAM[{name!r}] must not be empty.", id="beam.E010")
    if users & rooms:
        yield Error(
            "BEAM['token_user_claim'] and BEAM['token_room_claim'] must differ, also "
            "from each other's default.",
            hint="With the same claim, a user token would be a room token, too.",
            id="beam.E010",
        )


def _check_policies(current: Conf) -> Iterator[CheckMessage]:
    for pattern, policy in current.room_policies.items():
        for name, value in policy.items():
            if problem := _wrong_policy(name, value):
                text = f"BEAM['room_policies'][{pattern!r}]: {name!r} {problem}."
                yield Error(text, id="beam.E011")


def _wrong_policy(name: str, value: object) -> str:
    if name not in POLICIES:
        return f"is unknown; names are {', '.join(POLICIES)}"
    wanted = wanted_number(POLICIES[name], value)
    return f"must be {wanted}, not {value!r}" if wanted else ""
