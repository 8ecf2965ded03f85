"""Owns what bodies consist of: room ids, event names, payloads."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from rooms import batch
from rooms.address import room_topic
from rooms.wire import is_reserved


class RoomId(serializers.CharField):
    """A room id: 1 to 200 characters of any script, no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for an id that is none."""
        room_id: str = super().to_internal_value(data)
        try:
            room_topic(room_id)
        except ValueError as error:
            raise serializers.ValidationError(str(error), "invalid_room_id") from None
        return room_id


class EventName(serializers.CharField):
    """An event name that is not reserved."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` for what is no text, or reserved."""
        try:
            return batch.event_name(data)
        except ValueError as error:
            reserved = isinstance(data, str) and is_reserved(data)
            code = "reserved_event" if reserved else "invalid"
            raise serializers.ValidationError(str(error), code) from None


@extend_schema_field(OpenApiTypes.OBJECT)
class Payload(serializers.Field):  # type: ignore[type-arg]
    """Any JSON object."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Raises `ValidationError` for what is no object."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("not an object")
        return data

    def to_representation(self, value: Any) -> Any:
        """The object itself."""
        return value


def room_id_of(given: str) -> str:
    """A room id of the path. Raises `ValidationError`."""
    try:
        room_topic(given)
    except ValueError as error:
        raise serializers.ValidationError({"room_id": [str(error)]}) from None
    return given
