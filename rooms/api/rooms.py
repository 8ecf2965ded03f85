"""Owns how backends look at rooms and steer them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from presence import admission, topic_index
from presence.factory import tracker
from presence.state import State
from rooms import moderation
from rooms.api.error_codes import ErrorCode
from rooms.api.errors import HistoryOff
from rooms.api.fields import (
    WHOLE_NUMBER,
    Seconds,
    Session,
    UserId,
    room_id_of,
    user_id_of,
)
from rooms.api.openapi import BODY, NAME, ROOM, USER, describe, shape
from rooms.api.view import BackendView
from rooms.protocol.identifiers import room_topic
from rooms.protocol.json_types import not_an_object
from rooms.records import closed_rooms
from rooms.records.room_policy import policy_for

STEM = "room:"
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
MAX_REASON = 200
MAX_BLOCK_SECONDS = 366 * 24 * 3_600.0


class Page(serializers.Serializer):  # type: ignore[type-arg]
    """The query of a list of rooms."""

    prefix = serializers.CharField(
        default="", allow_blank=True, trim_whitespace=False, max_length=200
    )
    limit = serializers.IntegerField(default=100, min_value=1, max_value=MAX_PAGE)
    cursor = serializers.CharField(default="", allow_blank=True, max_length=2_000)

    def validate_cursor(self, cursor: str) -> str:
        """The topic that a cursor stands for. Raises `ValidationError`."""
        try:
            return base64.b64decode(cursor, b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            raise serializers.ValidationError("no cursor of this list") from None


class Rooms(BackendView):
    """`GET /api/v1/rooms`: the rooms that have members."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "List the rooms that have members, by name",
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
        """200: a page of rooms, and the cursor of the next; null at the end."""
        query = Page(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        prefix, limit = STEM + asked["prefix"], asked["limit"]
        found = await topic_index.page(prefix, asked["cursor"], limit)
        rooms = [
            {
                "room_id": topic.removeprefix(STEM),
                "sessions": size.entries,
                "users": size.groups,
            }
            for topic, size in found
        ]
        more = len(found) == limit
        cursor = base64.urlsafe_b64encode(found[-1].topic.encode()) if more else None
        return Response({"rooms": rooms, "cursor": cursor and cursor.decode()})


class Room(BackendView):
    """`GET /api/v1/rooms/ROOM_ID`: one room, whether anybody is in or not."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "One room, whether anybody is in or not",
        DETAILS,
        errors=(ErrorCode.INVALID,),
        example=EXAMPLE,
        parameters=(ROOM,),
        operation="get_room",
    )
    async def get(self, request: Request, room_id: str) -> Response:
        """200: its sizes, whether it is open, and its limits."""
        return Response(await _room(room_id_of(room_id)))


async def _room(room_id: str) -> dict[str, Any]:
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


class Presence(BackendView):
    """`GET /api/v1/rooms/ROOM_ID/presence`: who is in."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "Who is in a room",
        shape(
            "Presence",
            room_id=serializers.CharField(),
            members=serializers.ListField(
                child=shape(
                    "Member",
                    session=serializers.CharField(),
                    user_id=serializers.CharField(),
                    metas=serializers.ListField(child=serializers.DictField()),
                )
            ),
        ),
        errors=(ErrorCode.INVALID,),
        example={
            "room_id": "lobby",
            "members": [
                {
                    "session": "ada:1",
                    "user_id": "ada",
                    "metas": [
                        {"online_at": "1789000000", "phx_ref": "c", "name": "Ada"}
                    ],
                }
            ],
        },
        parameters=(ROOM,),
        operation="get_presence",
    )
    async def get(self, request: Request, room_id: str) -> Response:
        """200: the members, by session."""
        snapshot = await tracker().list(room_topic(room_id_of(room_id)))
        return Response({"room_id": room_id, "members": _members(snapshot.state)})


def _members(state: State) -> list[dict[str, Any]]:
    return [
        {
            "session": key,
            "user_id": key.rpartition(":")[0],
            "metas": presence["metas"],
        }
        for key, presence in state.items()
    ]


class Removal(serializers.Serializer):  # type: ignore[type-arg]
    """The body of `remove`: who, why, and for how long they stay out."""

    user_id = UserId(required=False)
    session = Session(required=False)
    reason = serializers.CharField(default=moderation.REMOVED, max_length=MAX_REASON)
    block_seconds = Seconds(default=0.0, min_value=0.0, max_value=MAX_BLOCK_SECONDS)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Raises `ValidationError` unless one of user and session is named."""
        if ("user_id" in given) == ("session" in given):
            message = (
                "give either user_id or session, not both"
                if "user_id" in given
                else "is missing, and so is session"
            )
            raise serializers.ValidationError({"user_id": [message]})
        return given


_MORE = {
    "reason": {"type": "string", "minLength": 1, "maxLength": MAX_REASON},
    "block_seconds": {"type": "number", "minimum": 0, "maximum": MAX_BLOCK_SECONDS},
}
REMOVAL = {
    "oneOf": [
        {
            "type": "object",
            "title": title,
            "properties": {name: form, **_MORE},
            "required": [name],
        }
        for name, title, form in (
            (
                "user_id",
                "All sessions of a user",
                {"oneOf": [NAME, WHOLE_NUMBER]},
            ),
            ("session", "One session", {"type": "string", "pattern": "^.+:[^:]+$"}),
        )
    ]
}
"""The body of `remove`, as it is described."""


class Remove(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/remove`: members leave, and may be kept out."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Take a user, or one session, out of a room",
        shape("Removed", removed=serializers.ListField(child=serializers.CharField())),
        request={"application/json": REMOVAL},
        errors=BODY,
        samples={
            "A user, for ten minutes": {
                "user_id": "ada",
                "reason": "rude",
                "block_seconds": 600,
            },
            "One session": {"session": "ada:1"},
        },
        example={"removed": ["ada:1"]},
        parameters=(ROOM,),
        operation="remove_members",
    )
    async def post(self, request: Request, room_id: str) -> Response:
        """200: the sessions that were removed."""
        body = Removal(data=_object(request))
        body.is_valid(raise_exception=True)
        given = body.validated_data
        ban = (
            admission.group(given["user_id"])
            if "user_id" in given
            else admission.key(given["session"])
        )
        try:
            removed = await moderation.remove(
                room_id_of(room_id),
                ban,
                reason=given["reason"],
                block_seconds=given["block_seconds"],
            )
        except admission.TooManyBans:
            message = f"the room has {admission.MAX_BANS:,} blocks; wait until some end"
            raise serializers.ValidationError({"block_seconds": [message]}) from None
        who = given.get("user_id") or given["session"]
        self.note("%s was removed from %s", who, room_id, room_id=room_id, user=who)
        return Response({"removed": removed})


def _object(request: Request) -> dict[str, Any]:
    if type(request.data) is not dict:
        raise exceptions.ParseError(not_an_object("the body", request.data))
    return request.data


class Close(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/close`: nobody is in, nobody may join."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Close a room: its members leave, joins are refused",
        shape("Closed", removed=serializers.IntegerField()),
        errors=BODY,
        example={"removed": 2},
        parameters=(ROOM,),
        operation="close_room",
    )
    async def post(self, request: Request, room_id: str) -> Response:
        """200: how many members were removed."""
        removed = await moderation.close(room_id_of(room_id))
        self.note("%s was closed", room_id, room_id=room_id)
        return Response({"removed": removed})


class Open(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/open`: people may join again."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Open a closed room again",
        DETAILS,
        errors=BODY,
        example=EXAMPLE,
        parameters=(ROOM,),
        operation="open_room",
    )
    async def post(self, request: Request, room_id: str) -> Response:
        """200: the room as it is now."""
        await closed_rooms.open_again(room_id_of(room_id))
        self.note("%s was opened", room_id, room_id=room_id)
        return Response(await _room(room_id))


class Disconnect(BackendView):
    """`POST /api/v1/users/USER_ID/disconnect`: all of a user's connections end."""

    tag = "Users"
    scope = "rooms:manage"

    @describe(
        "End all connections of a user",
        shape("Nothing"),
        errors=BODY,
        parameters=(USER,),
        operation="disconnect_user",
    )
    async def post(self, request: Request, user_id: str) -> Response:
        """200: every process was told."""
        await moderation.disconnect(user_id_of(user_id))
        self.note("%s was disconnected", user_id, user=user_id)
        return Response({})


class History(BackendView):
    """`GET /api/v1/rooms/ROOM_ID/history`: kept events."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "Kept events: no room keeps any yet",
        shape("History"),
        errors=(ErrorCode.INVALID, ErrorCode.HISTORY_OFF),
        parameters=(ROOM,),
        operation="get_history",
    )
    async def get(self, request: Request, room_id: str) -> Response:
        """404: no room keeps any yet."""
        room_id_of(room_id)
        raise HistoryOff
