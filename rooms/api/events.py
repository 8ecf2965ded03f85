"""Requests that send events: one event, or a batch."""

from __future__ import annotations

from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from beam.config.conf import conf
from rooms.api import event_parser
from rooms.api.error_codes import ErrorCode
from rooms.api.event_batch import OK, UNAVAILABLE, items_of, publish_all
from rooms.api.event_schemas import CHANGED, INVALID, Batch, RoomEvent
from rooms.api.idempotency import run_once
from rooms.api.openapi import BODY_ERRORS, IDEMPOTENCY, ErrorBody, describe, shape
from rooms.api.parsers import (
    BatchParser,
    BracketFormParser,
    BracketMultiPartParser,
    JsonParser,
)
from rooms.api.view import BackendView
from rooms.messaging import publisher
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.json_types import not_an_object


class PushRoomEvent(BackendView):
    """`POST /api/v1/push_room_event`: one event for one room."""

    tag = "Events"
    scope = "events:write"
    parser_classes = (JsonParser, BracketFormParser, BracketMultiPartParser)

    @describe(
        "Send an event to all members of a room",
        request=RoomEvent,
        errors=(*BODY_ERRORS, ErrorCode.IDEMPOTENCY_KEY_REUSED),
        parameters=(IDEMPOTENCY,),
        examples={"The document changed": CHANGED},
        operation="push_room_event",
    )
    async def post(self, request: Request) -> Response:
        """Send an event to all members of a room. 200, empty body."""
        return await run_once(request, self.caller, self._post)

    async def _post(self, request: Request) -> Response:
        body = request.data
        if not isinstance(body, dict):
            raise exceptions.ParseError(not_an_object("the body", body))
        try:
            event = event_parser.parse_event(body)
        except event_parser.Invalid as error:
            raise exceptions.ValidationError(error.reasons()) from None
        await publisher.published(event)
        activity_buffer.note_sent(event.topic, event.name, self.caller.name)
        return Response()


class Events(BackendView):
    """`POST /api/v1/events`: many events in one request."""

    tag = "Events"
    scope = "events:write"
    parser_classes = (BatchParser,)

    @property
    def max_bytes(self) -> int:
        """The largest body, in bytes: `max_batch_bytes`."""
        return conf().max_batch_bytes

    @describe(
        "Send many events; the answer has one result for each, in order",
        shape(
            "Results",
            results=serializers.ListField(
                child=shape(
                    "Result",
                    status=serializers.ChoiceField(["ok", "error"]),
                    error=ErrorBody(required=False),
                )
            ),
        ),
        request=Batch,
        errors=(*BODY_ERRORS, ErrorCode.IDEMPOTENCY_KEY_REUSED),
        parameters=(IDEMPOTENCY,),
        examples={
            "Two events": {
                "events": [CHANGED, {"room_ids": ["a", "b"], "payload": {"text": "hi"}}]
            },
            "To some members, and to all but one": {
                "events": [
                    CHANGED | {"to": [{"user_id": "ada"}, {"session": "bob:1"}]},
                    CHANGED | {"except": [{"user_id": "ada"}]},
                ]
            },
        },
        example={"results": [OK, INVALID]},
        operation="send_events",
    )
    async def post(self, request: Request) -> Response:
        """Send many events. Invalid ones do not stop the others."""
        return await run_once(request, self.caller, self._post)

    async def _post(self, request: Request) -> Response:
        items = items_of(request.data)
        most = conf().max_batch_rooms
        if sum(map(event_parser.room_count, items)) > most:
            message = f"a batch must have at most {most} rooms"
            raise exceptions.ValidationError({"events": [message]})
        results = await publish_all(items, self.caller)
        if all(result is UNAVAILABLE for result in results):
            raise publisher.NotPublished
        return Response({"results": results})
