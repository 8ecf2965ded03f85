"""The bodies that send events, as OpenAPI describes them, with examples."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from rooms.api.error_codes import ErrorCode
from rooms.api.errors import error_body
from rooms.api.fields import EventName, Payload, RoomId
from rooms.protocol.event_names import RESERVED_RULE

INVALID = {
    "status": "error",
    "error": error_body(
        ErrorCode.INVALID,
        "the item is not valid: event: this name is reserved",
        {"event": [f"this name is reserved: {RESERVED_RULE}"]},
    ),
}
CHANGED = {"room_id": "lobby", "event": "changed", "payload": {"rev": 3}}


class RoomEvent(serializers.Serializer):  # type: ignore[type-arg]
    """The body of `push_room_event`. `rooms.api.event_parser` parses it.

    A serializer would copy its fields for each request: half of the request's time.
    """

    room_id = RoomId()
    event = EventName(default="new_msg")
    payload = Payload(default=dict)


class Item(serializers.Serializer):  # type: ignore[type-arg]
    """An event of a batch. `rooms.api.event_parser` parses it."""

    room_id = RoomId(required=False)
    room_ids = serializers.ListField(child=RoomId(), required=False, min_length=1)
    event = serializers.CharField(default="new_msg", max_length=200)
    payload = serializers.DictField(default=dict)
    to = serializers.ListField(child=serializers.DictField(), required=False)

    def get_fields(self) -> dict[str, Any]:
        """Also `except`, which is not a valid name in Python."""
        without = serializers.ListField(child=serializers.DictField(), required=False)
        return super().get_fields() | {"except": without}


class Batch(serializers.Serializer):  # type: ignore[type-arg]
    """The body of a batch."""

    events = Item(many=True, allow_empty=False)
