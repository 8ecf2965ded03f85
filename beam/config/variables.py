"""Reads settings from variables of the environment: `BEAM_<NAME>`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from beam.config import environment
from beam.config.conf import Conf
from beam.config.ranges import wanted_number


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
            wanted = wanted_number(item.name, text)
            message = f"{variable} must be {wanted}, not {environment.shown(text)}."
            raise ImproperlyConfigured(message) from None
    return given
