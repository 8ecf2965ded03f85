"""Names the types of JSON in messages for developers. Pure."""

from __future__ import annotations

from types import NoneType
from typing import Final

_TYPES: Final = {
    NoneType: "null",
    bool: "a boolean",
    int: "a number",
    float: "a number with a fraction",
    str: "text",
    list: "a list",
    dict: "an object",
}


def json_type(value: object) -> str:
    """What JSON calls the type of a value, with its article."""
    return _TYPES.get(type(value), "a value of another type")


def not_an_object(what: str, value: object) -> str:
    """Why a value is refused that should be an object, and the usual mistake."""
    message = f"{what} must be an object, not {json_type(value)}"
    if value == []:
        message += (
            ". PHP's json_encode writes an empty array as []: use new stdClass, "
            "or JSON_FORCE_OBJECT"
        )
    elif isinstance(value, str) and value[:1] in ("{", "["):
        message += " that looks like JSON: it is encoded twice"
    return message
