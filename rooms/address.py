"""Owns how rooms and members are named: ids to topics, `to` lists to labels. Pure."""

from __future__ import annotations

from typing import Any

MAX_ROOM_ID = 200


def room_topic(room_id: object) -> str:
    """The topic of a room. Raises `ValueError` for an id that is none.

    A room id is 1 to 200 characters of any script, without control
    characters.
    """
    if not isinstance(room_id, str) or not 0 < len(room_id) <= MAX_ROOM_ID:
        raise ValueError(f"a room id has 1 to {MAX_ROOM_ID} characters")
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in room_id):
        raise ValueError("a room id has no control characters")
    return f"room:{room_id}"


def labels(entries: object) -> tuple[str, ...]:
    """The labels that a list of addressees names.

    An entry is `{"session"}`, `{"userId"}` or `{"user_id"}`; its session wins
    over its user. Raises `ValueError` for what is no list, or an entry that
    names nobody.
    """
    if type(entries) is not list:
        raise ValueError('a list of {"session"} or {"user_id"}')
    return tuple(map(_label, entries))


def _label(entry: Any) -> str:
    if type(entry) is dict:
        for name, kind in (
            ("session", "session"),
            ("userId", "user"),
            ("user_id", "user"),
        ):
            if name in entry:
                if type(entry[name]) is str:
                    return f"{kind}:{entry[name]}"
                break
    raise ValueError("an entry has a session, userId or user_id (text)")
