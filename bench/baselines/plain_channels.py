"""As in the tutorial: one consumer per socket, each a member of a layer group."""

import json
import os

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import re_path

settings.configure(
    SECRET_KEY="bench",
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            # 100 would drop messages silently; only deliveries are measured.
            # redis-py's 100 connections would do so too, with an error for the socket.
            "CONFIG": {
                "hosts": [
                    {
                        "address": os.environ["REDIS_URL"],
                        "max_connections": 10_000,
                        # Otherwise redis-py 8 aborts a blocking read after 5 s.
                        "socket_timeout": None,
                    }
                ],
                "capacity": 100_000,
            },
        }
    },
)
django.setup()


class RoomConsumer(AsyncWebsocketConsumer):
    """Joins a group, sends to it, and writes what it receives from it."""

    async def connect(self) -> None:
        self.group = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send(text_data=json.dumps("joined"))

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        message = {"type": "room.message", "text": text_data, "by": self.channel_name}
        await self.channel_layer.group_send(self.group, message)

    async def room_message(self, event: dict[str, str]) -> None:
        if event["by"] != self.channel_name:
            await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [re_path(r"(?P<room>\w+)$", RoomConsumer.as_asgi())]  # type: ignore[arg-type, list-item]
        )
    }
)
