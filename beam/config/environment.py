"""Parses environment variables, and finds those that Beam does not know.

An invalid value raises `ImproperlyConfigured`, with a line that says what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured

PREFIX: Final = "BEAM_"
ON: Final = frozenset({"1", "true", "yes", "on"})
OFF: Final = frozenset({"", "0", "false", "no", "off"})
HIGHEST_PORT: Final = 65_535
LONGEST_SHOWN: Final = 40
# Variables that have no prefix `BEAM_`.
PLAIN: Final = (
    "HOST",
    "PORT",
    "DEBUG",
    "SECRET_KEY",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "REDIS_URL",
)
# Variables that Kubernetes sets in containers for a service `beam` or `beam-...`.
# `BEAM_PORT` is one of them only if its value is a URL; else it is a mistake.
_SERVICE: Final = re.compile(
    r"BEAM_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?"
    r"|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT: Final = re.compile(r"BEAM_(?:\w+_)?PORT")


def switch(environ: Mapping[str, str], name: str) -> bool:
    """Parse a variable that is on or off. A missing one is off."""
    text = environ.get(name, "").strip().lower()
    if text not in ON | OFF:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {shown(text)}.")
    return text in ON


def whole(text: str, name: str, least: int, most: int) -> int:
    """Parse a whole number. `name`: of the variable or option, for the error."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from {least} to {most}, not {shown(text)}."
        )
    return number


def port(text: str, name: str) -> int:
    """Parse a port number."""
    return whole(text, name, 1, HIGHEST_PORT)


def url_of(host: str, port: int) -> str:
    """The URL of a listening address; IPv6 addresses are in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def shown(text: str) -> str:
    """The beginning of a value, quoted for a message."""
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


class Unknown(NamedTuple):
    """A variable without effect, and the one that was probably meant."""

    name: str
    nearest: str


def unknown(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[Unknown]:
    """Find variables that begin with `BEAM_` and have no effect."""
    names = sorted(set(known))
    for name in sorted(environ):
        is_ours = name.startswith(PREFIX) and name not in names
        if is_ours and not _is_of_kubernetes(name, environ[name]):
            yield Unknown(name, _nearest(name, names))


def _is_of_kubernetes(name: str, value: str) -> bool:
    is_port = _SERVICE_PORT.fullmatch(name) and "://" in value
    return bool(is_port or _SERVICE.fullmatch(name))


def _nearest(name: str, known: list[str]) -> str:
    plain = name.removeprefix(PREFIX)
    if plain in PLAIN:
        return plain
    return next(iter(get_close_matches(name, known, n=1)), "")
