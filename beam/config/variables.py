"""Reads settings from environment variables `BEAM_<NAME>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from beam.config import environment
from beam.config.conf import Conf
from beam.config.ranges import wanted_number


def variable_of(name: str) -> str:
    """The name of the variable for `settings.BEAM[name]`."""
    return f"{environment.PREFIX}{name.upper()}"


# All variables that begin with `BEAM_` and have an effect.
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


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The numbers and strings that variables `BEAM_<NAME>` set.

    Raises `ImproperlyConfigured` if a number is invalid.
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
            wanted = wanted_number(item.name, text)
            message = f"{variable} must be {wanted}, not {environment.shown(text)}."
            raise ImproperlyConfigured(message) from None
    return given
