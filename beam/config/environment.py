"""Reads environment variables; `BEAM_<NAME>` sets a setting of `beam.config.conf`.

An invalid value raises `ImproperlyConfigured`, with a line that says what is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured

from beam.config.conf import Conf
from beam.config.ranges import wanted_number

PREFIX: Final = "BEAM_"
ON: Final = frozenset({"1", "true", "yes", "on"})
OFF: Final = frozenset({"", "0", "false", "no", "off"})
HIGHEST_PORT: Final = 65_535
LONGEST_SHOWN: Final = 40


def variable_of(name: str) -> str:
    """The name of the variable for `settings.BEAM[name]`."""
    return f"{PREFIX}{name.upper()}"


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
            message = f"{variable} must be {wanted}, not {shown(text)}."
            raise ImproperlyConfigured(message) from None
    return given


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
