"""`manage.py beam_send`: send an event to a room."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from beam import redis
from beam.config.conf import conf
from beam.management import api_client
from beam.redis import startup_check
from rooms.api.event_parser import event_name
from rooms.messaging import publisher
from rooms.protocol.event import Event
from rooms.protocol.frame import BadFrame
from rooms.protocol.identifiers import room_topic
from rooms.protocol.json_text import loads


class Command(BaseCommand):
    """Sends an event to all members of a room.

    With `REDIS_URL` it is published to Redis; else it is sent to the server on
    `HOST` and `PORT`, which is the only process.
    """

    help = "Send an event to all members of a room."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The room, the name of the event and its payload."""
        parser.add_argument("room_id", metavar="ROOM_ID", help="id of the room")
        parser.add_argument("event", metavar="EVENT", help="name of the event")
        parser.add_argument("payload", metavar="JSON", help="payload: a JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` if the event is invalid or was not sent."""
        room_id, name = options["room_id"], options["event"]
        payload = _payload(options["payload"])
        try:
            topic = room_topic(room_id)
        except ValueError as error:
            raise CommandError(f"{room_id!r}: {error}") from None
        try:
            event_name(name)
        except ValueError as error:
            raise CommandError(f"{name!r}: {error}") from None
        if conf().redis_url:
            async_to_sync(_publish)(Event(topic=topic, name=name, payload=payload))
        else:
            body = {"room_id": room_id, "event": name, "payload": payload}
            api_client.request("POST", "/api/v1/push_room_event", json=body)
        self.stderr.write(f"Sent {name} to {room_id}.")


def _payload(text: str) -> dict[str, Any]:
    try:
        payload = loads(text, conf().max_message_depth)
    except BadFrame as error:
        raise CommandError(f"The payload is not JSON: {error}.") from None
    if not isinstance(payload, dict):
        raise CommandError("The payload must be a JSON object.")
    return payload


async def _publish(event: Event) -> None:
    try:
        # Before the publisher: its error names the address of Redis.
        await startup_check.reach()
        await publisher.published(event)
    except redis.Unavailable as error:
        raise CommandError(f"Not sent: {error}") from None
