"""Owns what an item of a backend's batch says: JSON in, events out. Pure."""

from __future__ import annotations

from typing import Any, Final

from rooms.address import labels, room_topic
from rooms.event import Event
from rooms.wire import RESERVED_RULE, dumps, is_reserved

MAX_EVENT_NAME: Final = 200
# Members that do not exist: so many are named in the answer.
MAX_NAMED: Final = 10
MEMBERS: Final = frozenset({"room_id", "room_ids", "event", "payload", "to", "except"})


class Invalid(ValueError):
    """An item is not valid: `fields` says what is wrong with which."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = fields


def event_name(name: object) -> str:
    """A name that backends may send. Raises `ValueError`."""
    if type(name) is not str or not 0 < len(name) <= MAX_EVENT_NAME:
        raise ValueError(f"an event name is text, 1 to {MAX_EVENT_NAME} characters")
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise ValueError("an event name has half of a surrogate pair")
    if is_reserved(name):
        raise ValueError(f"this name is reserved: {RESERVED_RULE}")
    return name


def rooms_of(item: Any) -> int:
    """How many rooms an item is for; 1 where it does not say, or says none."""
    several = item.get("room_ids") if type(item) is dict else None
    return max(1, len(several)) if type(several) is list else 1


def read(item: Any, max_bytes: int) -> list[Event]:
    """The events of an item, one a room, in the order of its `room_ids`.

    `max_bytes` bounds the payload as JSON. Raises `Invalid`.
    """
    if type(item) is not dict:
        raise Invalid({"": "an item is an object"})
    unknown = sorted(item.keys() - MEMBERS)[:MAX_NAMED]
    wrong = {name[:MAX_EVENT_NAME]: "no such member" for name in unknown}
    made: dict[str, Any] = {}
    for name, make in (
        ("topics", _topics),
        ("name", _name),
        ("payload", _payload),
        ("to", _to),
        ("without", _without),
    ):
        try:
            made[name] = make(item)
        except _Wrong as error:
            wrong[error.member] = str(error)
    if not wrong and len(dumps(made["payload"])) > max_bytes:
        wrong["payload"] = f"a payload has at most {max_bytes} bytes"
    if wrong:
        raise Invalid(wrong)
    topics = made.pop("topics")
    return [Event(topic=topic, **made) for topic in topics]


def read_one(body: dict[str, Any]) -> Event:
    """The event of a request for one room. What it says beside is passed over.

    Raises `Invalid`.
    """
    made: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, make in (("topic", _topic), ("name", _name), ("payload", _payload)):
        try:
            made[name] = make(body)
        except _Wrong as error:
            wrong[error.member] = str(error)
    if wrong:
        raise Invalid(wrong)
    return Event(**made)


class _Wrong(ValueError):
    def __init__(self, member: str, message: str) -> None:
        super().__init__(message)
        self.member = member


def _topic(body: dict[str, Any]) -> str:
    try:
        return room_topic(body.get("room_id"))
    except ValueError as error:
        raise _Wrong("room_id", str(error)) from None


def _topics(item: dict[str, Any]) -> list[str]:
    if ("room_id" in item) == ("room_ids" in item):
        raise _Wrong("room_id", "say either room_id or room_ids")
    several = item.get("room_ids", [item.get("room_id")])
    member = "room_ids" if "room_ids" in item else "room_id"
    if type(several) is not list or not several:
        raise _Wrong(member, "a list of room ids, not empty")
    try:
        return [room_topic(room_id) for room_id in several]
    except ValueError as error:
        raise _Wrong(member, str(error)) from None


def _name(item: dict[str, Any]) -> str:
    try:
        return event_name(item.get("event", "new_msg"))
    except ValueError as error:
        raise _Wrong("event", str(error)) from None


def _payload(item: dict[str, Any]) -> dict[str, Any]:
    payload: Any = item.get("payload", {})
    if type(payload) is not dict:
        raise _Wrong("payload", "a payload is an object")
    return payload


def _to(item: dict[str, Any]) -> tuple[str, ...] | None:
    return _labels(item, "to") if "to" in item else None


def _without(item: dict[str, Any]) -> tuple[str, ...]:
    return _labels(item, "except") if "except" in item else ()


def _labels(item: dict[str, Any], member: str) -> tuple[str, ...]:
    try:
        return labels(item[member])
    except ValueError as error:
        raise _Wrong(member, str(error)) from None
