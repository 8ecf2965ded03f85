"""Builds the requests to Beam. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

from beam_client import answers
from beam_client.answers import Member, Page, RoomDetails

T = TypeVar("T")

PAGE_SIZE = 1_000

Id: TypeAlias = str | int
"""A room id or a user id. A whole number is read as its digits."""

Recipient = Mapping[str, Id]
"""`{"user_id": U}` or `{"session": "U:S"}`."""


@dataclass(frozen=True)
class Event:
    """An event for one room, or for several.

    `to`: only to these members; None: to all. `without`: not to these.
    """

    rooms: Id | Sequence[Id]
    name: str = "new_msg"
    payload: Mapping[str, Any] = field(default_factory=dict)
    to: Sequence[Recipient] | None = None
    without: Sequence[Recipient] = ()

    def item(self) -> dict[str, Any]:
        """The event as an item of a batch."""
        rooms = self.rooms
        rooms_field: dict[str, Any] = (
            {"room_id": rooms}
            if isinstance(rooms, str | int)
            else {"room_ids": list(rooms)}
        )
        item = rooms_field | {
            "event": self.name,
            "payload": dict(self.payload),
        }
        if self.to is not None:
            item["to"] = [dict(one) for one in self.to]
        if self.without:
            item["except"] = [dict(one) for one in self.without]
        return item


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. `read`: see `answers.read`. `headers`: without credentials."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Any = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def publish(
    room_id: Id, name: str, payload: Mapping[str, Any] | None = None
) -> Call[None]:
    """Send one event to all members of a room."""
    body = {"room_id": room_id, "event": name, "payload": dict(payload or {})}
    path = "/api/v1/push_room_event"
    return Call("POST", path, answers.nothing, body, headers=_idempotency_key())


def publish_batch(events: Sequence[Event]) -> Call[list[dict[str, Any]]]:
    """Send many events in one request."""
    body = {"events": [event.item() for event in events]}
    return Call(
        "POST", "/api/v1/events", answers.results, body, headers=_idempotency_key()
    )


def _idempotency_key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(18)}


def rooms(prefix: str, cursor: str) -> Call[Page]:
    """List a page of rooms."""
    query = {"prefix": prefix, "cursor": cursor, "limit": str(PAGE_SIZE)}
    return Call("GET", "/api/v1/rooms", answers.page, query=query)


def room(room_id: Id) -> Call[RoomDetails]:
    """Describe one room."""
    return Call("GET", _room(room_id), answers.room_details)


def presence(room_id: Id) -> Call[list[Member]]:
    """List the members of a room."""
    return Call("GET", f"{_room(room_id)}/presence", answers.members)


def remove(
    room_id: Id,
    user_id: Id | None,
    session: str | None,
    reason: str | None,
    block_seconds: float,
) -> Call[list[str]]:
    """Remove members. Raises `ValueError` unless exactly one of the two is given."""
    if (user_id is None) == (session is None):
        raise ValueError("either user_id or session is required")
    named = {"user_id": user_id, "session": session, "reason": reason}
    given = {name: value for name, value in named.items() if value is not None}
    body = given | {"block_seconds": block_seconds}
    return Call("POST", f"{_room(room_id)}/remove", answers.removed_sessions, body)


def close_room(room_id: Id) -> Call[int]:
    """Remove all members and refuse joins."""
    return Call("POST", f"{_room(room_id)}/close", answers.removed_count, {})


def open_room(room_id: Id) -> Call[RoomDetails]:
    """Accept joins again."""
    return Call("POST", f"{_room(room_id)}/open", answers.room_details, {})


def disconnect(user_id: Id) -> Call[dict[str, Any]]:
    """Close all connections of a user."""
    path = f"/api/v1/users/{_segment(user_id)}/disconnect"
    return Call("POST", path, answers.an_object, {})


def processes() -> Call[list[dict[str, Any]]]:
    """List the processes of the deployment."""
    return Call("GET", "/api/v1/processes", answers.processes)


def _room(room_id: Id) -> str:
    return f"/api/v1/rooms/{_segment(room_id)}"


def _segment(given: Id) -> str:
    """An id as one segment of a path. Raises `ValueError` for an empty one."""
    name = str(given)
    if not name:
        raise ValueError("an id must not be empty")
    if name in (".", ".."):
        # Unencoded, these are the current directory and its parent.
        return name.replace(".", "%2E")
    return quote(name, safe="")
