"""Finds environment variables that begin with `BEAM_` and have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

from beam.config.environment import PREFIX

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
