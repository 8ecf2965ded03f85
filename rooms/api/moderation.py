"""Requests that remove members, close and open rooms, and disconnect users."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from presence import admission
from rooms import moderation
from rooms.api.fields import (
    WHOLE_NUMBER,
    Seconds,
    Session,
    UserId,
    room_id_of,
    user_id_of,
)
from rooms.api.openapi import BODY_ERRORS, NAME, ROOM, USER, describe, shape
from rooms.api.rooms import DETAILS, EXAMPLE, room_details
from rooms.api.view import BackendView
from rooms.protocol.json_types import not_an_object
from rooms.records import closed_rooms

MAX_REASON = 200
MAX_BLOCK_SECONDS = 366 * 24 * 3_600.0


class Removal(serializers.Serializer):  # type: ignore[type-arg]
    """The body of `remove`: a user or a session, the reason, the time of a block."""

    user_id = UserId(required=False)
    session = Session(required=False)
    reason = serializers.CharField(default=moderation.REMOVED, max_length=MAX_REASON)
    block_seconds = Seconds(default=0.0, min_value=0.0, max_value=MAX_BLOCK_SECONDS)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """Raises `ValidationError` unless exactly one of user and session is given."""
        if ("user_id" in given) == ("session" in given):
            message = (
                "name either user_id or session, not both"
                if "user_id" in given
                else "is missing; name a user_id or session"
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
"""The body of `remove`, for OpenAPI."""


class Remove(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/remove`: removes members, and can block them."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Remove a user, or one session, from a room",
        shape("Removed", removed=serializers.ListField(child=serializers.CharField())),
        request={"application/json": REMOVAL},
        errors=BODY_ERRORS,
        examples={
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
        """The sessions that were removed.

        With `block_seconds` their joins are refused with `blocked` for that time.
        """
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
            message = f"the room has {admission.MAX_BANS:,} blocks; wait until one ends"
            raise serializers.ValidationError({"block_seconds": [message]}) from None
        who = given.get("user_id") or given["session"]
        text = "Removed %s from room %s"
        self.log_action(text, who, room_id, room_id=room_id, user=who)
        return Response({"removed": removed})


def _object(request: Request) -> dict[str, Any]:
    if type(request.data) is not dict:
        raise exceptions.ParseError(not_an_object("the body", request.data))
    return request.data


class Close(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/close`: removes all members and refuses joins."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Close a room: remove its members and refuse joins",
        shape("Closed", removed=serializers.IntegerField()),
        errors=BODY_ERRORS,
        example={"removed": 2},
        parameters=(ROOM,),
        operation="close_room",
    )
    async def post(self, request: Request, room_id: str) -> Response:
        """The number of members that were removed."""
        removed = await moderation.close(room_id_of(room_id))
        self.log_action("Closed room %s", room_id, room_id=room_id)
        return Response({"removed": removed})


class Open(BackendView):
    """`POST /api/v1/rooms/ROOM_ID/open`: accepts joins again."""

    tag = "Rooms"
    scope = "rooms:manage"

    @describe(
        "Open a closed room again",
        DETAILS,
        errors=BODY_ERRORS,
        example=EXAMPLE,
        parameters=(ROOM,),
        operation="open_room",
    )
    async def post(self, request: Request, room_id: str) -> Response:
        """The room."""
        await closed_rooms.open_again(room_id_of(room_id))
        self.log_action("Opened room %s", room_id, room_id=room_id)
        return Response(await room_details(room_id))


class Disconnect(BackendView):
    """`POST /api/v1/users/USER_ID/disconnect`: closes all connections of a user."""

    tag = "Users"
    scope = "rooms:manage"

    @describe(
        "Close all connections of a user",
        shape("Nothing"),
        errors=BODY_ERRORS,
        parameters=(USER,),
        operation="disconnect_user",
    )
    async def post(self, request: Request, user_id: str) -> Response:
        """An empty object: every process was notified."""
        await moderation.disconnect(user_id_of(user_id))
        self.log_action("Disconnected user %s", user_id, user=user_id)
        return Response({})
