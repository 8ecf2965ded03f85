"""Reads the claims of a verified JWT: dates, ids, rights, meta."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import orjson

from beam.config.conf import conf
from rooms.auth.grants import RIGHTS, Unauthorized, id_of
from rooms.protocol.json_types import json_type, not_an_object

LAST_DATE: Final = 253_402_300_799
"""The end of the year 9999, in seconds. Larger numbers are in another unit."""


def check_time(claims: dict[str, Any]) -> None:
    """Raises `Unauthorized` if the token is not valid now, or has no `exp`."""
    now, leeway = time.time(), conf().token_leeway
    if claims.get("exp") is None:
        raise Unauthorized("the token has no `exp`")
    if (expires := _date(claims, "exp")) <= now - leeway:
        raise Unauthorized(f"the token expired {now - expires:,.0f} s ago")
    if claims.get("nbf") is not None:
        wait = _date(claims, "nbf") - now
        if wait > leeway:
            raise Unauthorized(f"the token is not valid for {wait:,.0f} s yet (`nbf`)")


def _date(claims: dict[str, Any], name: str) -> float:
    """A claim that is a Unix time in seconds. Raises `Unauthorized`."""
    date = claims[name]
    # NaN compares as neither above nor below.
    if type(date) not in (int, float) or not date > -LAST_DATE:
        raise Unauthorized(f"the token's `{name}` is not a number of seconds")
    if date > LAST_DATE:
        raise Unauthorized(
            f"the token's `{name}` is after the year 9999: it must be in seconds, "
            "not in milliseconds"
        )
    return float(date)


def rights_of(can: object) -> frozenset[str]:
    """The rights of the claim `can`; all rights if it is missing."""
    if can is None:
        return RIGHTS
    if not isinstance(can, list):
        raise Unauthorized(f"the token's `can` must be a list, not {json_type(can)}")
    return RIGHTS & {right for right in can if isinstance(right, str)}


def meta_of(meta: object) -> dict[str, Any]:
    """The trusted meta of the claim `meta`; empty if it is missing."""
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Unauthorized(not_an_object("the token's `meta`", meta))
    try:
        orjson.dumps(meta)
        # orjson writes null for NaN and Infinity.
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError):
        # Half of a surrogate pair, a huge number, deep nesting.
        raise Unauthorized("the token's `meta` cannot be written as JSON") from None
    return meta


def claim(claims: dict[str, Any], *names: str) -> Any:
    """The value of the first of these claims that is present, or None."""
    return next((claims[name] for name in names if name in claims), None)


def id_claim(claims: dict[str, Any], *names: str) -> str:
    """The id in the first of these claims. Raises `Unauthorized`."""
    found = claim(claims, *names)
    if found is None:
        raise Unauthorized(f"the token has no `{names[0]}`")
    return id_of(found)
