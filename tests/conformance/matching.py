"""Compares what a server sent with a vector's pattern: the matchers of its head."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

Captured = dict[str, Any]


class Mismatch(AssertionError):
    """The server answered something else."""


def match(pattern: Any, value: Any, captured: Captured, path: str) -> None:
    """Raises `Mismatch` unless a value fits; remembers what is captured."""
    if isinstance(pattern, dict):
        [name] = pattern if len(pattern) == 1 else [None]
        if name in MATCHERS:
            MATCHERS[name](pattern[name], value, captured, path)
            return
        _check(isinstance(value, dict) and set(value) == set(pattern), value, path)
        for key, inner in pattern.items():
            match(inner, value[key], captured, f"{path}.{key}")
    elif isinstance(pattern, list):
        _check(isinstance(value, list) and len(value) == len(pattern), value, path)
        for at, inner in enumerate(pattern):
            match(inner, value[at], captured, f"{path}[{at}]")
    else:
        fits = type(pattern) is type(value) and pattern == value
        _check(fits, value, f"{path}: expected {pattern!r}, got")


def _check(fits: bool, value: Any, path: str) -> None:
    if not fits:
        raise Mismatch(f"{path}: {value!r}")


def _any(_: Any, value: Any, captured: Captured, path: str) -> None:
    """Fits any value."""


def _string(_: Any, value: Any, captured: Captured, path: str) -> None:
    _check(isinstance(value, str), value, path)


def _regex(regex: str, value: Any, captured: Captured, path: str) -> None:
    fits = isinstance(value, str) and re.search(regex, value) is not None
    _check(fits, value, f"{path} !~ {regex}")


def _capture(name: str, value: Any, captured: Captured, path: str) -> None:
    _check(captured.setdefault(name, value) == value, value, path)


def _ref(name: str, value: Any, captured: Captured, path: str) -> None:
    _check(captured[name] == value, value, path)


def _partial(pattern: Any, value: Any, captured: Captured, path: str) -> None:
    _check(isinstance(value, dict) and set(pattern) <= set(value), value, path)
    for key, inner in pattern.items():
        match(inner, value[key], captured, f"{path}.{key}")


def _any_of(patterns: list[Any], value: Any, captured: Captured, path: str) -> None:
    for pattern in patterns:
        attempt = dict(captured)
        try:
            match(pattern, value, attempt, path)
        except Mismatch:
            continue
        captured.update(attempt)
        return
    raise Mismatch(f"{path}: {value!r} fits none of {patterns!r}")


def _json_strings(pattern: Any, value: Any, captured: Captured, path: str) -> None:
    _check(isinstance(value, list), value, path)
    match(pattern, [json.loads(item) for item in value], captured, path)


def _b64(text: str, value: Any, captured: Captured, path: str) -> None:
    _check(value == base64.b64decode(text), value, f"{path} != {text}")


MATCHERS: dict[str | None, Callable[[Any, Any, Captured, str], None]] = {
    "$any": _any,
    "$string": _string,
    "$regex": _regex,
    "$capture": _capture,
    "$ref": _ref,
    "$partial": _partial,
    "$any_of": _any_of,
    "$json_strings": _json_strings,
    "$b64": _b64,
}


def fill(value: Any, captured: Captured) -> Any:
    """A query or header value with its `$ref`s filled in."""
    if isinstance(value, dict):
        if set(value) == {"$ref"}:
            return captured[value["$ref"]]
        return {key: fill(inner, captured) for key, inner in value.items()}
    return value
