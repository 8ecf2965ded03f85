"""The ids of rooms, users and sessions, and the topics of rooms. Pure."""

from __future__ import annotations

from rooms.protocol.json_types import json_type

MAX_ROOM_ID = 200
MAX_USER_ID = 200
MAX_SESSION_ID = 64


def room_topic(room_id: object) -> str:
    """The topic of a room. Raises `ValueError` for an invalid id.

    A room id is 1 to 200 characters of any script, without control
    characters. A whole number stands for its digits.
    """
    return f"room:{_name(room_id, MAX_ROOM_ID, 'a room id')}"


def user_id(value: object) -> str:
    """A user's id, by the same rule. Raises `ValueError`."""
    return _name(value, MAX_USER_ID, "a user id")


def session(value: object) -> str:
    """A member's session, `USER_ID:SESSION_ID`. Raises `ValueError`."""
    text = _name(value, MAX_USER_ID + 1 + MAX_SESSION_ID, "a session")
    user, _, own = text.rpartition(":")
    if not user or not 0 < len(own) <= MAX_SESSION_ID:
        raise ValueError("a session must be USER_ID:SESSION_ID")
    return text


def _name(value: object, most: int, what: str) -> str:
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        kind = json_type(value)
        raise ValueError(f"{what} must be text or a whole number, not {kind}")  # noqa: TRY004 - one kind of error for all
    if not 0 < len(value) <= most:
        raise ValueError(f"{what} must have 1 to {most} characters, not {len(value)}")
    check_characters(value, what)
    return value


def check_characters(text: str, what: str) -> None:
    """Raise `ValueError` for characters that no id or session may have."""
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise ValueError(f"{what} must not contain control characters")
    if any(0xD800 <= ord(char) < 0xE000 for char in text):
        raise ValueError(f"{what} must not contain half of a surrogate pair")
