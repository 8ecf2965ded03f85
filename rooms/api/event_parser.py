"""Parses events that backends send: JSON in, `Event` out. Pure."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from rooms.protocol.event import Event
from rooms.protocol.event_names import RESERVED_RULE, is_reserved
from rooms.protocol.identifiers import room_topic
from rooms.protocol.json_text import dumps
from rooms.protocol.json_types import json_type, not_an_object
from rooms.protocol.recipients import labels

MAX_EVENT_NAME: Final = 200
# The answer names at most so many unknown fields.
MAX_UNKNOWN: Final = 10
FIELDS: Final = frozenset({"room_id", "room_ids", "event", "payload", "to", "except"})
RECIPIENT_FIELDS: Final[tuple[str, ...]] = ("room_ids", "to", "except")
ONLY_IN_A_BATCH: Final = "not accepted here: use POST /api/v1/events"


class Invalid(ValueError):
    """An item is not valid. `fields`: the reason for each field."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = fields

    def reasons(self) -> dict[str, list[str]]:
        """A list of reasons for each field, as in every error of the API."""
        return {name: [text] for name, text in self.fields.items()}


def event_name(name: object) -> str:
    """An event name that backends may send. Raises `ValueError`."""
    if type(name) is not str:
        raise ValueError(f"an event name must be text, not {json_type(name)}")
    if not 0 < len(name) <= MAX_EVENT_NAME:
        length = f"1 to {MAX_EVENT_NAME} characters, not {len(name)}"
        raise ValueError(f"an event name must have {length}")
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise ValueError("an event name must not contain half of a surrogate pair")
    if is_reserved(name):
        raise ValueError(f"this name is reserved: {RESERVED_RULE}")
    return name


def room_count(item: Any) -> int:
    """How many rooms an item is for; 1 if it names none, or is not valid."""
    several = item.get("room_ids") if type(item) is dict else None
    return max(1, len(several)) if type(several) is list else 1


def parse_item(item: Any, max_bytes: int, max_recipients: int) -> list[Event]:
    """The events of an item, one for each room, in the order of its `room_ids`.

    A room that is named twice gets one event. `max_bytes` limits the payload as
    JSON, `max_recipients` each of `to` and `except`. Raises `Invalid`.
    """
    if type(item) is not dict:
        raise Invalid({"": not_an_object("an item", item)})
    unknown = sorted(item.keys() - FIELDS)[:MAX_UNKNOWN]
    reasons = {name[:MAX_EVENT_NAME]: "unknown field" for name in unknown}
    values: dict[str, Any] = {}
    for name, parse in (
        ("topics", _topics),
        ("name", _name),
        ("payload", _payload),
        ("to", partial(_to, most=max_recipients)),
        ("without", partial(_without, most=max_recipients)),
    ):
        try:
            values[name] = parse(item)
        except _InvalidField as error:
            reasons[error.field] = str(error)
    if not reasons and len(dumps(values["payload"])) > max_bytes:
        reasons["payload"] = f"a payload must have at most {max_bytes} bytes"
    if reasons:
        raise Invalid(reasons)
    topics = values.pop("topics")
    return [Event(topic=topic, **values) for topic in topics]


def parse_event(body: dict[str, Any]) -> Event:
    """The event of a request, for all members of one room.

    Unknown fields are ignored. Fields that name recipients are refused: otherwise
    all members would get an event for some of them. Raises `Invalid`.
    """
    values: dict[str, Any] = {}
    reasons: dict[str, str] = {
        name: ONLY_IN_A_BATCH for name in RECIPIENT_FIELDS if name in body
    }
    for name, parse in (("topic", _topic), ("name", _name), ("payload", _payload)):
        try:
            values[name] = parse(body)
        except _InvalidField as error:
            reasons[error.field] = str(error)
    if reasons:
        raise Invalid(reasons)
    return Event(**values)


class _InvalidField(ValueError):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _topic(body: dict[str, Any]) -> str:
    if "room_id" not in body:
        raise _InvalidField("room_id", "is missing")
    try:
        return room_topic(body["room_id"])
    except ValueError as error:
        raise _InvalidField("room_id", str(error)) from None


def _topics(item: dict[str, Any]) -> list[str]:
    if "room_ids" not in item:
        if "room_id" not in item:
            raise _InvalidField("room_id", "is missing; name a room_id or room_ids")
        return [_topic(item)]
    if "room_id" in item:
        raise _InvalidField("room_id", "name either room_id or room_ids, not both")
    several = item["room_ids"]
    if type(several) is not list:
        kind = json_type(several)
        raise _InvalidField("room_ids", f"must be a list of room ids, not {kind}")
    if not several:
        raise _InvalidField("room_ids", "must not be empty")
    topics = [_topic_at(place, room_id) for place, room_id in enumerate(several)]
    return list(dict.fromkeys(topics))


def _topic_at(place: int, room_id: object) -> str:
    try:
        return room_topic(room_id)
    except ValueError as error:
        raise _InvalidField("room_ids", f"room_ids[{place}]: {error}") from None


def _name(item: dict[str, Any]) -> str:
    try:
        return event_name(item.get("event", "new_msg"))
    except ValueError as error:
        raise _InvalidField("event", str(error)) from None


def _payload(item: dict[str, Any]) -> dict[str, Any]:
    payload: Any = item.get("payload", {})
    if type(payload) is not dict:
        raise _InvalidField("payload", not_an_object("a payload", payload))
    return payload


def _to(item: dict[str, Any], most: int) -> tuple[str, ...] | None:
    return _labels(item, "to", most) if "to" in item else None


def _without(item: dict[str, Any], most: int) -> tuple[str, ...]:
    return _labels(item, "except", most) if "except" in item else ()


def _labels(item: dict[str, Any], field: str, most: int) -> tuple[str, ...]:
    try:
        return labels(item[field], most)
    except ValueError as error:
        raise _InvalidField(field, str(error)) from None
