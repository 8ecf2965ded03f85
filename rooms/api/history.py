"""The request for the kept events of a room. No room keeps any yet."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from rooms.api.error_codes import ErrorCode
from rooms.api.errors import HistoryOff
from rooms.api.fields import (
    room_id_of,
)
from rooms.api.openapi import ROOM, describe, shape
from rooms.api.view import BackendView


class History(BackendView):
    """`GET /api/v1/rooms/ROOM_ID/history`: the kept events of a room."""

    tag = "Rooms"
    scope = "rooms:read"

    @describe(
        "List the kept events of a room",
        shape("History"),
        errors=(ErrorCode.INVALID, ErrorCode.HISTORY_OFF),
        parameters=(ROOM,),
        operation="get_history",
    )
    async def get(self, request: Request, room_id: str) -> Response:
        """404 `history_off`: no room keeps events yet."""
        room_id_of(room_id)
        raise HistoryOff
