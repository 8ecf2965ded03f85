"""Owns what an answer says: what was asked for, or an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from beam_client.errors import BeamError, Unavailable
from beam_client.retries import RETRIED_STATUSES, retry_after

T = TypeVar("T")

CHECK_THE_URL = "the URL should be that of Beam itself"


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
class Page:
    """Some of the rooms. `cursor` asks for the next ones; None: these are the last."""

    rooms: list[Room]
    cursor: str | None


def read(answer: httpx.Response, reader: Callable[[Any], T]) -> T:
    """What a 2xx says. Raises `BeamError` for all else, and for what Beam never says.

    `reader` makes it of the body, None where there is none, or raises
    `ValueError`.
    """
    if not answer.is_success:
        raise _refusal(answer)
    try:
        return reader(_json(answer))
    except ValueError as error:
        message = f"Beam does not answer so ({error}); {CHECK_THE_URL}"
        raise BeamError(answer.status_code, "unexpected", message) from error


def _json(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        kind = answer.headers.get("Content-Type", "something")
        raise ValueError(f"{kind} that is no JSON") from None


def _refusal(answer: httpx.Response) -> BeamError:
    status = answer.status_code
    if status < 400:
        target = answer.headers.get("Location", "nowhere")
        message = f"Beam does not redirect (to {target}); {CHECK_THE_URL}"
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
    """The error of a body. Proxies have bodies of their own, of any shape."""
    try:
        body = _json(answer)
    except ValueError:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def nothing(body: Any) -> None:
    """No body; later versions may have something to say."""
    if body is not None:
        an_object(body)


def an_object(body: Any) -> dict[str, Any]:
    """Any object."""
    if not isinstance(body, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - what `read` takes
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
    """Who is in a room."""
    return [_record(Member, member) for member in _part(body, "members", list)]


def results(body: Any) -> list[dict[str, Any]]:
    """What became of the events of a batch."""
    return [an_object(result) for result in _part(body, "results", list)]


def removed_sessions(body: Any) -> list[str]:
    """Who was removed."""
    return list(_part(body, "removed", list))


def removed_count(body: Any) -> int:
    """How many were removed."""
    return _part(body, "removed", int)


def processes(body: Any) -> list[dict[str, Any]]:
    """The processes of a service."""
    return [an_object(process) for process in _part(body, "processes", list)]


def _part(body: Any, name: str, kind: type[T]) -> T:
    """A field that has to be there."""
    found = an_object(body)
    if name not in found or not isinstance(found[name], kind):
        raise ValueError(f"no {name}")
    part: T = found[name]
    return part


def _record(kind: type[T], body: Any) -> T:
    """A dataclass of an object; what later versions add is passed over."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(**{field.name: _part(body, field.name, object) for field in fields})
