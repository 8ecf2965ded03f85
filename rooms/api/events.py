"""Owns how backends send events: one, or many in one request."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.api import event_parser
from rooms.api.error_codes import ErrorCode
from rooms.api.errors import error_body, summary
from rooms.api.fields import EventName, Payload, RoomId
from rooms.api.idempotency import once
from rooms.api.openapi import BODY, IDEMPOTENCY, ErrorBody, describe, shape
from rooms.api.view import (
    BackendView,
    BracketFormParser,
    BracketMultiPartParser,
    JsonParser,
)
from rooms.auth.api_keys import Caller
from rooms.messaging import publisher
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.event_names import RESERVED_RULE
from rooms.protocol.json_types import json_type, not_an_object

CHANGED = {"room_id": "lobby", "event": "changed", "payload": {"rev": 3}}


class BatchParser(JsonParser):
    """JSON of a batch: a payload is in an item, in a list, in the body."""

    levels = 3


class RoomEvent(serializers.Serializer):  # type: ignore[type-arg]
    """The body of `push_room_event`, as it is described; `event_parser` reads it.

    A serializer copies its fields for each request: half of the request's time.
    """

    room_id = RoomId()
    event = EventName(default="new_msg")
    payload = Payload(default=dict)


class PushRoomEvent(BackendView):
    """`POST /api/v1/push_room_event`: the original service's call."""

    tag = "Events"
    scope = "events:write"
    parser_classes = (JsonParser, BracketFormParser, BracketMultiPartParser)

    @describe(
        "Send an event to everybody in a room",
        request=RoomEvent,
        errors=(*BODY, ErrorCode.IDEMPOTENCY_KEY_REUSED),
        parameters=(IDEMPOTENCY,),
        samples={"The document changed": CHANGED},
        operation="push_room_event",
    )
    async def post(self, request: Request) -> Response:
        """Send an event to everybody in a room: 200, empty body."""
        return await once(request, self.caller, self._post)

    async def _post(self, request: Request) -> Response:
        body = request.data
        if not isinstance(body, dict):
            raise exceptions.ParseError(not_an_object("the body", body))
        try:
            event = event_parser.read_one(body)
        except event_parser.Invalid as error:
            raise exceptions.ValidationError(_reasons(error)) from None
        await publisher.published(event)
        activity_buffer.note_sent(event.topic, event.name, self.caller.name)
        return Response()


OK = {"status": "ok"}
INVALID = {
    "status": "error",
    "error": error_body(
        ErrorCode.INVALID,
        "the item is not valid: event: this name is reserved",
        {"event": [f"this name is reserved: {RESERVED_RULE}"]},
    ),
}


class Item(serializers.Serializer):  # type: ignore[type-arg]
    """An event of a batch, as it is described; `rooms.api.event_parser` reads it."""

    room_id = RoomId(required=False)
    room_ids = serializers.ListField(child=RoomId(), required=False, min_length=1)
    event = serializers.CharField(default="new_msg", max_length=200)
    payload = serializers.DictField(default=dict)
    to = serializers.ListField(child=serializers.DictField(), required=False)

    def get_fields(self) -> dict[str, Any]:
        """With `except`, which Python does not take as a name."""
        without = serializers.ListField(child=serializers.DictField(), required=False)
        return super().get_fields() | {"except": without}


class Batch(serializers.Serializer):  # type: ignore[type-arg]
    """The body of a batch, as it is described."""

    events = Item(many=True, allow_empty=False)


class Events(BackendView):
    """`POST /api/v1/events`: many events in one request."""

    tag = "Events"
    scope = "events:write"
    parser_classes = (BatchParser,)

    @property
    def max_bytes(self) -> int:
        """How large a body may be."""
        return conf().max_batch_bytes

    @describe(
        "Send many events; one result for each, in order",
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
        errors=(*BODY, ErrorCode.IDEMPOTENCY_KEY_REUSED),
        parameters=(IDEMPOTENCY,),
        samples={
            "Two events": {
                "events": [CHANGED, {"room_ids": ["a", "b"], "payload": {"text": "hi"}}]
            },
            "To some, and to all but one": {
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
        """One result an item, in order: what is not valid does not hold up the rest."""
        return await once(request, self.caller, self._post)

    async def _post(self, request: Request) -> Response:
        items = _items(request.data)
        most = conf().max_batch_rooms
        if sum(map(event_parser.rooms_of, items)) > most:
            message = f"a batch reaches at most {most} rooms"
            raise exceptions.ValidationError({"events": [message]})
        results = await _publish_all(items, self.caller)
        if all(result is UNAVAILABLE for result in results):
            raise publisher.Unavailable
        return Response({"results": results})


def _items(body: Any) -> list[Any]:
    """The events of a batch. Raises `ValidationError`."""
    if type(body) is not dict:
        message = not_an_object("the body", body)
        raise exceptions.ValidationError({"events": [message]})
    if "events" not in body:
        raise exceptions.ValidationError({"events": ["is missing"]})
    items = body["events"]
    if type(items) is not list:
        message = f"events is a list, not {json_type(items)}"
        raise exceptions.ValidationError({"events": [message]})
    if not items:
        raise exceptions.ValidationError({"events": ["events is empty"]})
    return items


UNAVAILABLE = {
    "status": "error",
    "error": error_body(ErrorCode.UNAVAILABLE, "not relayed; try again"),
}


async def _publish_all(items: list[Any], caller: Caller) -> list[dict[str, Any]]:
    """Publish what is valid in one turn of the loop; the result of each item."""
    limit = conf().max_message_bytes
    started = [_start(item, limit, caller) for item in items]
    return [
        begun if isinstance(begun, dict) else await _outcome(begun) for begun in started
    ]


def _start(
    item: Any, limit: int, caller: Caller
) -> dict[str, Any] | list[publisher.Sent]:
    """An item's error, or what is under way of it."""
    try:
        events = event_parser.read(item, limit, conf().max_recipients)
        sent = [publisher.publish(event) for event in events]
        for event in events:
            activity_buffer.note_sent(event.topic, event.name, caller.name)
    except event_parser.Invalid as error:
        metrics.ITEMS_REFUSED.value += 1
        fields = _reasons(error)
        message = f"the item is not valid: {summary(fields)}"
        details = error_body(ErrorCode.INVALID, message, fields)
        return {"status": "error", "error": details}
    return [future for future in sent if future is not None]


def _reasons(error: event_parser.Invalid) -> dict[str, list[str]]:
    """In the form of all refusals: a list for each field."""
    return {name: [text] for name, text in error.fields.items()}


async def _outcome(sent: list[publisher.Sent]) -> dict[str, Any]:
    try:
        for future in sent:
            await future
    except publisher.Unavailable:
        return UNAVAILABLE
    return OK
