"""Query strings as Plug reads them. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

MAX_PARAMS = 200
MAX_NESTING = 8

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


class InvalidParams(ValueError):
    """A query string is not valid UTF-8, or has too many or too deep params."""


def parse_params(query: bytes) -> dict[str, Any]:
    """A query string as Plug reads it: `a[b]=1` nests, `a[]=1` is a list.

    Empty pairs (`a=1&&b=2`) are skipped, of a repeated key the last wins.
    Raises `InvalidParams` for invalid UTF-8 or far too many params.
    """
    params: dict[str, Any] = {}
    pairs = [pair for pair in query.split(b"&") if pair]
    if len(pairs) > MAX_PARAMS:
        raise InvalidParams("too many params")
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        assign(params, _text(key), _text(value))
    return params


def _text(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidParams("query is not UTF-8") from None


def assign(params: dict[str, Any], key: str, value: str) -> None:
    """Put a pair where its brackets say, as Plug does. Raises `InvalidParams`."""
    match = _KEY.fullmatch(key)
    if match is None:
        params[key] = value
        return
    name, rest = match.groups()
    steps = rest[1:-1].split("][") if rest else []
    if len(steps) > MAX_NESTING:
        raise InvalidParams("params nested too deeply")
    place = params
    for step in steps:
        if step == "":
            # `a[]=1`: what would follow a list's brackets has no meaning here.
            place[name] = [*_as(list, place.get(name)), value]
            return
        inner: dict[str, Any] = _as(dict, place.get(name))
        place[name] = inner
        place, name = inner, step
    place[name] = value


def _as(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else kind()
