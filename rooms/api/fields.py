"""Serializer fields of the API: ids, event names, payloads, seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from rooms.api import event_parser
from rooms.api.openapi import NAME
from rooms.protocol import identifiers
from rooms.protocol.json_types import json_type, not_an_object


class _Id(serializers.CharField):
    """An id that follows a rule of `rooms.protocol.identifiers`; not stripped."""

    rule: Callable[[object], str]
    max_characters: int

    def __init__(self, **kwargs: Any) -> None:
        messages: dict[str, Any] = {
            "blank": self._reason(""),
            "null": self._reason(None),
        }
        super().__init__(
            trim_whitespace=False,
            max_length=self.max_characters,
            error_messages=messages,
            **kwargs,
        )

    def _reason(self, data: Any) -> str:
        """Why data is not a valid id; empty if it is valid."""
        try:
            type(self).rule(data)
        except ValueError as error:
            return str(error)
        return ""

    def to_internal_value(self, data: Any) -> str:
        """The id as text. Raises `ValidationError` if it is not valid."""
        if reason := self._reason(data):
            raise serializers.ValidationError(reason)
        return str(data)


WHOLE_NUMBER = {"type": "integer"}


@extend_schema_field({"oneOf": [NAME, WHOLE_NUMBER]})
class RoomId(_Id):
    """A room id: 1 to 200 characters of any script, no control characters.

    A whole number is read as its digits.
    """

    rule = staticmethod(identifiers.room_topic)
    max_characters = identifiers.MAX_ROOM_ID


@extend_schema_field({"oneOf": [NAME, WHOLE_NUMBER]})
class UserId(_Id):
    """A user id, by the rule of room ids."""

    rule = staticmethod(identifiers.user_id)
    max_characters = identifiers.MAX_USER_ID


class Session(_Id):
    """A member's session: `USER_ID:SESSION_ID`."""

    rule = staticmethod(identifiers.session)
    max_characters = identifiers.MAX_USER_ID + 1 + identifiers.MAX_SESSION_ID


class EventName(serializers.CharField):
    """An event name that is not reserved."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Raises `ValidationError` if the name is not text, or is reserved."""
        try:
            return event_parser.event_name(data)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from None


class Seconds(serializers.FloatField):
    """A number of seconds."""

    def to_internal_value(self, data: Any) -> float:
        """Raises `ValidationError` for anything but a number, also for booleans."""
        if type(data) not in (int, float):
            message = f"must be a number of seconds, not {json_type(data)}"
            raise serializers.ValidationError(message)
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.OBJECT)
class Payload(serializers.Field):  # type: ignore[type-arg]
    """Any JSON object."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Raises `ValidationError` if the payload is not an object."""
        if not isinstance(data, dict):
            raise serializers.ValidationError(not_an_object("a payload", data))
        return data

    def to_representation(self, value: Any) -> Any:
        """The object, unchanged."""
        return value


def room_id_of(given: str) -> str:
    """A room id from the path, checked. Raises `ValidationError`."""
    return _of_path(given, "room_id", identifiers.room_topic)


def user_id_of(given: str) -> str:
    """A user id from the path, checked. Raises `ValidationError`."""
    return _of_path(given, "user_id", identifiers.user_id)


def _of_path(given: str, name: str, rule: Callable[[object], str]) -> str:
    try:
        rule(given)
    except ValueError as error:
        raise serializers.ValidationError({name: [str(error)]}) from None
    return given
