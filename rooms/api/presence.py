"""The request for the members of a room."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from presence.factory import tracker
from presence.state import State
from rooms.api.error_codes import ErrorCode
from rooms.api.fields import (
    room_id_of,
)
from rooms.api.openapi import ROOM, describe, shape
from rooms.api.view import BackendView
from rooms.protocol.identifiers import room_topic


class Presence(BackendView):
    """`GET /api/v1/rooms/ROOM_ID/presence`: the members of a room."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "List the members of a room",
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
        """The members, each with its session, user id and metas."""
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
