"""Checks the payloads that clients send to a room, and signs those it relays."""

from __future__ import annotations

from typing import Any

import orjson

from beam.config.conf import conf
from rooms.channels.results import Refused
from rooms.protocol.identifiers import MAX_SESSION_ID, check_characters
from rooms.protocol.reasons import Reason
from rooms.protocol.recipients import labels


def join_fields(payload: Any) -> tuple[str, dict[str, Any]]:
    """`session_id` as text and the client's meta. Raises `Refused`."""
    if type(payload) is not dict or "room_token" not in payload:
        raise _invalid("a join must have room_token, session_id and, if any, meta")
    session_id = payload.get("session_id")
    if type(session_id) in (int, float):
        session_id = str(session_id)
    if type(session_id) is not str or not 0 < len(session_id) <= MAX_SESSION_ID:
        raise _invalid(
            f"session_id must be text or a number, 1 to {MAX_SESSION_ID} characters"
        )
    if ":" in session_id:
        raise _invalid("session_id must not contain a colon")
    try:
        check_characters(session_id, "session_id")
    except ValueError as error:
        raise _invalid(str(error)) from None
    return session_id, client_meta(payload.get("meta", {}))


def client_meta(meta: Any) -> dict[str, Any]:
    """The meta of a client, if it may be stored. Raises `Refused`."""
    if type(meta) is not dict:
        raise _invalid("meta must be an object")
    try:
        size = len(orjson.dumps(meta))
    except TypeError:
        raise _invalid(
            "meta must not have integers over 64 bits or more than 254 levels"
        ) from None
    if size > conf().max_meta_bytes:
        raise _invalid(f"meta must have at most {conf().max_meta_bytes} bytes")
    return meta


def addressees(payload: dict[str, Any]) -> tuple[str, ...]:
    """The labels that a direct message's `to` names.

    Raises `Refused` for a `to` that is missing or has an invalid entry:
    nothing is relayed then.
    """
    if "to" not in payload:
        raise _invalid(
            'a message must have "broadcast": true, or "to": [{"session"} or '
            '{"user_id"}, ...]'
        )
    try:
        return labels(payload["to"], conf().max_recipients)
    except ValueError as error:
        raise _invalid(f'"to": {error}') from None


def signed(payload: dict[str, Any], source: dict[str, str]) -> dict[str, Any]:
    """The payload with its sender in `from`, in place of what the client sent there.

    Swift's and Kotlin's Phoenix clients show an object `response` in place of the
    payload: it gets a `from` too.
    """
    with_sender = payload | {"from": source}
    if type(inner := payload.get("response")) is dict:
        with_sender["response"] = inner | {"from": source}
    return with_sender


def _invalid(message: str) -> Refused:
    return Refused(Reason.INVALID_PAYLOAD, message)
