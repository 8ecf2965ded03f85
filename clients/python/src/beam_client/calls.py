"""Owns what is asked of Beam and what it answers, without sending anything. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from beam_client.errors import BeamError, Unavailable

Addressee = Mapping[str, str]
"""`{"user_id": U}` or `{"session": "U:S"}`."""


@dataclass(frozen=True)
class Event:
    """An event for one room, or the same for several.

    `to`: only these members; None: everybody. `without`: all but these.
    """

    rooms: str | Sequence[str]
    name: str = "new_msg"
    payload: Mapping[str, Any] = field(default_factory=dict)
    to: Sequence[Addressee] | None = None
    without: Sequence[Addressee] = ()

    def item(self) -> dict[str, Any]:
        """As an item of a batch."""
        single = isinstance(self.rooms, str)
        item: dict[str, Any] = {
            "room_id" if single else "room_ids": (
                self.rooms if single else list(self.rooms)
            ),
            "event": self.name,
            "payload": dict(self.payload),
        }
        if self.to is not None:
            item["to"] = [dict(one) for one in self.to]
        if self.without:
            item["except"] = [dict(one) for one in self.without]
        return item


@dataclass(frozen=True)
class Room:
    """A room that has members."""

    room_id: str
    sessions: int
    users: int


@dataclass(frozen=True)
class RoomDetails(Room):
    """A room, whether anybody is in or not."""

    open: bool
    limits: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """Somebody who is in a room."""

    session: str
    user_id: str
    metas: list[dict[str, Any]]


@dataclass(frozen=True)
class Call:
    """One request. `headers` beside those that say who calls."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def publish(room_id: str, name: str, payload: Mapping[str, Any]) -> Call:
    """One event for everybody in a room."""
    body = {"room_id": room_id, "event": name, "payload": dict(payload)}
    return Call("POST", "/api/v1/push_room_event", body, headers=_once())


def publish_batch(events: Sequence[Event]) -> Call:
    """Many events in one request."""
    body = {"events": [event.item() for event in events]}
    return Call("POST", "/api/v1/events", body, headers=_once())


def _once() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(18)}


def rooms(prefix: str, cursor: str, limit: int) -> Call:
    """A page of rooms."""
    query = {"prefix": prefix, "cursor": cursor, "limit": str(limit)}
    return Call("GET", "/api/v1/rooms", query=query)


def about_room(room_id: str, what: str = "", body: Any = None) -> Call:
    """Something of one room: a GET, or a POST where there is a body."""
    method = "GET" if body is None else "POST"
    return Call(method, f"/api/v1/rooms/{quote(room_id, safe='')}{what}", body)


def remove(
    room_id: str,
    user_id: str | None,
    session: str | None,
    reason: str | None,
    block_seconds: float,
) -> Call:
    """Take members out. Raises `ValueError` unless one of the two is named."""
    if (user_id is None) == (session is None):
        raise ValueError("say either user_id or session")
    body = {"user_id": user_id, "session": session, "reason": reason}
    given = {name: value for name, value in body.items() if value is not None}
    return about_room(room_id, "/remove", given | {"block_seconds": block_seconds})


def disconnect(user_id: str) -> Call:
    """End all connections of a user."""
    return Call("POST", f"/api/v1/users/{quote(user_id, safe='')}/disconnect", {})


def error(status: int, body: Any) -> BeamError:
    """What a refusal says."""
    said = body.get("error", {}) if isinstance(body, dict) else {}
    kind = Unavailable if status in (429, 503) else BeamError
    return kind(
        status,
        said.get("code", "unknown"),
        said.get("message", "Beam gave no reason"),
        said.get("fields"),
    )


def room_details(body: dict[str, Any]) -> RoomDetails:
    """A room, of its answer; what later versions add is passed over."""
    names = ("room_id", "sessions", "users", "open", "limits")
    return RoomDetails(**{name: body[name] for name in names})
