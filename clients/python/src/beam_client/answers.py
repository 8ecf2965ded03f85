"""Reads answers of Beam: typed results, or an error. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from beam_client.errors import BeamError, Unavailable
from beam_client.retries import RETRIED_STATUSES, retry_after

T = TypeVar("T")

CHECK_THE_URL = "check that the URL is the one of Beam"


@dataclass(frozen=True)
class Room:
    """A room that has members."""

    room_id: str
    sessions: int
    users: int


@dataclass(frozen=True)
class RoomDetails(Room):
    """A room, with or without members."""

    open: bool
    limits: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """A member of a room: one session, with its metas."""

    session: str
    user_id: str
    metas: list[dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """A page of rooms. `cursor`: of the next page; None at the end."""

    rooms: list[Room]
    cursor: str | None


def read(answer: httpx.Response, reader: Callable[[Any], T]) -> T:
    """The result of a 2xx answer. Raises `BeamError` for any other answer.

    `reader` makes the result from the body (None: no body). It raises
    `ValueError` if the body is not one of Beam's: this is a `BeamError` too.
    """
    if not answer.is_success:
        raise _refusal(answer)
    try:
        return reader(_json(answer))
    except ValueError as error:
        message = f"this is not an answer of Beam ({error}); {CHECK_THE_URL}"
        raise BeamError(answer.status_code, "unexpected", message) from error


def _json(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        kind = answer.headers.get("Content-Type", "a body")
        raise ValueError(f"{kind} that is not JSON") from None


def _refusal(answer: httpx.Response) -> BeamError:
    status = answer.status_code
    if status < 400:
        target = answer.headers.get("Location", "no location")
        message = f"redirected to {target}; {CHECK_THE_URL}"
        return BeamError(status, "redirected", message)
    error = _error_of(answer)
    fields = error.get("fields")
    kind = Unavailable if status in RETRIED_STATUSES else BeamError
    return kind(
        status,
        str(error.get("code") or "unknown"),
        str(error.get("message") or "Beam gave no reason"),
        fields if isinstance(fields, dict) else None,
        retry_after(answer),
    )


def _error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error in a body, or an empty dict: proxies send other bodies."""
    try:
        body = _json(answer)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def nothing(body: Any) -> None:
    """No body. An object is accepted: later versions may send one."""
    if body is not None:
        an_object(body)


def an_object(body: Any) -> dict[str, Any]:
    """The body, which must be an object."""
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - `read` expects it
    return body


def page(body: Any) -> Page:
    """A page of rooms."""
    rooms = [_record(Room, room) for room in _part(body, "rooms", list)]
    cursor = _part(body, "cursor", object)
    return Page(rooms, str(cursor) if cursor else None)


def room_details(body: Any) -> RoomDetails:
    """A room."""
    return _record(RoomDetails, body)


def members(body: Any) -> list[Member]:
    """The members of a room."""
    return [_record(Member, member) for member in _part(body, "members", list)]


def results(body: Any) -> list[dict[str, Any]]:
    """The results of a batch, one for each event."""
    return [an_object(result) for result in _part(body, "results", list)]


def removed_sessions(body: Any) -> list[str]:
    """The sessions that were removed."""
    return list(_part(body, "removed", list))


def removed_count(body: Any) -> int:
    """The number of members that were removed."""
    return _part(body, "removed", int)


def processes(body: Any) -> list[dict[str, Any]]:
    """The processes of a deployment."""
    return [an_object(process) for process in _part(body, "processes", list)]


def _part(body: Any, name: str, kind: type[T]) -> T:
    """A required field of the body."""
    found = an_object(body)
    if name not in found or not isinstance(found[name], kind):
        raise ValueError(f"{name} is missing")
    part: T = found[name]
    return part


def _record(kind: type[T], body: Any) -> T:
    """A dataclass from an object. Unknown fields are ignored."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(**{field.name: _part(body, field.name, object) for field in fields})
