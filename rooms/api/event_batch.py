"""Publishes the events of a batch; one result for each, in order."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.api import event_parser
from rooms.api.error_codes import ErrorCode
from rooms.api.errors import error_body, summary
from rooms.auth.api_keys import Caller
from rooms.messaging import publisher
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.json_types import json_type, not_an_object

OK = {"status": "ok"}
UNAVAILABLE = {
    "status": "error",
    "error": error_body(ErrorCode.UNAVAILABLE, "the event was not sent; try again"),
}


def items_of(body: Any) -> list[Any]:
    """The events of a batch, not yet parsed. Raises `ValidationError`."""
    if type(body) is not dict:
        message = not_an_object("the body", body)
        raise exceptions.ValidationError({"events": [message]})
    if "events" not in body:
        raise exceptions.ValidationError({"events": ["is missing"]})
    items = body["events"]
    if type(items) is not list:
        message = f"must be a list, not {json_type(items)}"
        raise exceptions.ValidationError({"events": [message]})
    if not items:
        raise exceptions.ValidationError({"events": ["must not be empty"]})
    return items


async def publish_all(items: list[Any], caller: Caller) -> list[dict[str, Any]]:
    """Publish the valid items in one turn of the event loop; the result of each."""
    limit = conf().max_message_bytes
    published = [_publish(item, limit, caller) for item in items]
    return [
        result if isinstance(result, dict) else await _outcome(result)
        for result in published
    ]


def _publish(
    item: Any, limit: int, caller: Caller
) -> dict[str, Any] | list[publisher.Sent]:
    """The error of an item, or the publishes of its events that are under way."""
    try:
        events = event_parser.parse_item(item, limit, conf().max_recipients)
        sent = [publisher.publish(event) for event in events]
        for event in events:
            activity_buffer.note_sent(event.topic, event.name, caller.name)
    except event_parser.Invalid as error:
        metrics.BATCH_ITEMS_REFUSED.value += 1
        fields = error.reasons()
        message = f"the item is not valid: {summary(fields)}"
        details = error_body(ErrorCode.INVALID, message, fields)
        return {"status": "error", "error": details}
    return [future for future in sent if future is not None]


async def _outcome(sent: list[publisher.Sent]) -> dict[str, Any]:
    try:
        for future in sent:
            await future
    except publisher.NotPublished:
        return UNAVAILABLE
    return OK
