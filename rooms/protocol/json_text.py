"""JSON text to values and back, with exact integers and the first of duplicate keys.

orjson where it gives the same result, else the standard library. Pure.
"""

from __future__ import annotations

import json
from typing import Final

import orjson

from rooms.protocol.frame import BadFrame, Json

# orjson reads 1,024 levels. Frames themselves are one level.
DEEPEST: Final = 1_000


class NotJson(BadFrame):
    """The text is not JSON (RFC 8259); the message says why."""


class Nested(BadFrame):
    """The JSON nests deeper than allowed."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


def loads(data: str | bytes, max_depth: int = DEEPEST) -> Json:
    """Any JSON text, by the book: first of duplicate keys, exact integers.

    Raises `NotJson` and `Nested`, which are `BadFrame`.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise Nested from None
        raise NotJson(_explain(error)) from None
    keys, depth, exact = _measure_flat(value) or _measure(value)
    if depth > max_depth:
        raise Nested
    if not exact or keys != _pairs(data):
        return _loads_exactly(data)
    return value


# What orjson's messages contain, and what a developer should read.
_EXPLAINED: Final = (
    ("not valid UTF-8", "it is not valid UTF-8"),
    ("BOM", "it begins with a byte order mark"),
    ("surrogate", "a string has half of a surrogate pair"),
    ("infinity", "a number is too large for a double"),
    ("control character", "a string has a control character that is not escaped"),
)


def _explain(error: orjson.JSONDecodeError) -> str:
    if error.doc.startswith(("NaN", "Infinity"), error.pos):
        text = "NaN and Infinity are not JSON"
    else:
        found = (text for part, text in _EXPLAINED if part in error.msg)
        text = next(found, error.msg)
    return f"{text} (line {error.lineno} column {error.colno})"


_SIMPLE: Final = frozenset({str, bool, int, type(None)})


def _measure_flat(value: Json) -> tuple[int, int, bool] | None:
    """`_measure` for an ordinary V2 frame: scalars, and an object of scalars."""
    if type(value) is not list or len(value) != 5 or type(value[4]) is not dict:
        return None
    body: dict[str, Json] = value[4]
    if not _SIMPLE.issuperset(map(type, body.values())):
        return None
    if not _SIMPLE.issuperset(map(type, value[:4])):
        return None
    return len(body), 2, True


def _measure(value: Json) -> tuple[int, int, bool]:
    """Keys, levels, and whether orjson kept every integer exact."""
    keys, depth, exact, level = 0, 0, True, [value]
    while level:
        below: list[Json] = []
        nested = False
        for item in level:
            kind = type(item)
            if kind is dict:
                nested = True
                keys += len(item)
                below.extend(item.values())
            elif kind is list:
                nested = True
                below.extend(item)
            elif kind is float and not -1e15 < item < 1e15:
                exact = False
        depth += nested
        level = below
    return keys, depth, exact


def _pairs(data: str | bytes) -> int:
    """How many keys the text seems to have; too many if a string contains `":`."""
    return data.count('":') if isinstance(data, str) else data.count(b'":')


def _loads_exactly(data: str | bytes) -> Json:
    """The slow path: first of duplicate keys, integers of any size.

    orjson has accepted the text, so it is valid JSON of a bounded depth.
    """
    try:
        return json.loads(data, object_pairs_hook=first_wins)
    except RecursionError:
        raise Nested from None


def first_wins(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """An object of which the first of duplicate keys counts."""
    return dict(reversed(pairs)) if len(dict(pairs)) < len(pairs) else dict(pairs)


def dumps(value: Json, errors: str = "strict") -> bytes:
    """Compact UTF-8 JSON: the Kotlin client cuts frames at `,` and `"`.

    `errors`: what becomes of lone surrogates; `ESCAPED` writes them as JSON does.
    Raises `TypeError` or `ValueError` for values that JSON does not have.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        # Over 254 levels, integers over 64 bits, or lone surrogates.
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        return text.encode(errors=errors)


# Python writes `\ud83d` for it, which is what JSON has, too.
ESCAPED: Final = "backslashreplace"


class RawJson(bytes):
    """A payload that is JSON text already: many frames share it."""

    __slots__ = ()
