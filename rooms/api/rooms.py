"""Requests that list rooms and describe one."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from presence import admission, topic_index
from presence.factory import tracker
from rooms.api.error_codes import ErrorCode
from rooms.api.fields import (
    room_id_of,
)
from rooms.api.openapi import ROOM, describe, shape
from rooms.api.view import BackendView
from rooms.protocol.identifiers import room_topic
from rooms.records.room_policy import policy_for

TOPIC_PREFIX = "room:"
LISTED = {
    "room_id": serializers.CharField(),
    "sessions": serializers.IntegerField(),
    "users": serializers.IntegerField(),
}
DETAILS = shape(
    "Room",
    **LISTED,
    open=serializers.BooleanField(),
    limits=shape(
        "Limits",
        capacity=serializers.IntegerField(allow_null=True),
        presence_grace=serializers.FloatField(),
        user_sessions=serializers.IntegerField(allow_null=True),
        presence_bytes=serializers.IntegerField(allow_null=True),
        history=serializers.IntegerField(),
    ),
)
EXAMPLE = {
    "room_id": "lobby",
    "sessions": 3,
    "users": 2,
    "open": True,
    "limits": {
        "capacity": None,
        "presence_grace": 0.0,
        "user_sessions": 100,
        "presence_bytes": 16_777_216,
        "history": 0,
    },
}
MAX_PAGE = 1_000


class Page(serializers.Serializer):  # type: ignore[type-arg]
    """The query parameters of a list of rooms."""

    prefix = serializers.CharField(
        default="", allow_blank=True, trim_whitespace=False, max_length=200
    )
    limit = serializers.IntegerField(default=100, min_value=1, max_value=MAX_PAGE)
    cursor = serializers.CharField(default="", allow_blank=True, max_length=2_000)

    def validate_cursor(self, cursor: str) -> str:
        """The topic that a cursor encodes. Raises `ValidationError`."""
        try:
            return base64.b64decode(cursor, b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            raise serializers.ValidationError("not a cursor of this list") from None


class Rooms(BackendView):
    """`GET /api/v1/rooms`: the rooms that have members."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "List the rooms that have members, sorted by name",
        shape(
            "Rooms",
            rooms=serializers.ListField(child=shape("Listed", **LISTED)),
            cursor=serializers.CharField(allow_null=True),
        ),
        parameters=(Page,),
        errors=(ErrorCode.INVALID,),
        example={
            "rooms": [{"room_id": "lobby", "sessions": 3, "users": 2}],
            "cursor": None,
        },
        operation="list_rooms",
    )
    async def get(self, request: Request) -> Response:
        """A page of rooms, and the cursor of the next page; null at the end."""
        query = Page(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        values = query.validated_data
        prefix, limit = TOPIC_PREFIX + values["prefix"], values["limit"]
        found = await topic_index.page(prefix, values["cursor"], limit)
        rooms = [
            {
                "room_id": topic.removeprefix(TOPIC_PREFIX),
                "sessions": size.entries,
                "users": size.groups,
            }
            for topic, size in found
        ]
        more = len(found) == limit
        cursor = base64.urlsafe_b64encode(found[-1].topic.encode()) if more else None
        return Response({"rooms": rooms, "cursor": cursor and cursor.decode()})


class Room(BackendView):
    """`GET /api/v1/rooms/ROOM_ID`: one room, with or without members."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "Describe one room, with or without members",
        DETAILS,
        errors=(ErrorCode.INVALID,),
        example=EXAMPLE,
        parameters=(ROOM,),
        operation="get_room",
    )
    async def get(self, request: Request, room_id: str) -> Response:
        """Its sessions and users, whether it is open, and its limits."""
        return Response(await room_details(room_id_of(room_id)))


async def room_details(room_id: str) -> dict[str, Any]:
    topic, policy = room_topic(room_id), policy_for(room_id)
    [size] = await tracker().sizes([topic])
    return {
        "room_id": room_id,
        "sessions": size.entries,
        "users": size.groups,
        "open": not await tracker().is_banned(topic, admission.EVERYONE),
        "limits": {
            "capacity": policy.capacity or None,
            "presence_grace": policy.presence_grace,
            "user_sessions": policy.user_sessions or None,
            "presence_bytes": policy.presence_bytes or None,
            "history": 0,
        },
    }
