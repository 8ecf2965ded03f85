"""The admin's pages, as tests use them."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import LogEntry
from django.test import AsyncClient

from rooms.models import Room
from tests.clients import Client as Member
from tests.clients import connected
from tests.rooms.admin.conftest import text_of

LIST = "/admin/rooms/room/"


async def room(room_id: str = "r", **fields: Any) -> Room:
    """A room's row."""
    return await Room.objects.acreate(room_id=room_id, **fields)


def page(room: Room, *way: str) -> str:
    """The address of a room's page, or of a way to steer it."""
    return "/".join([LIST.rstrip("/"), str(room.pk), *(way or ("change",)), ""])


async def post(http: AsyncClient, url: str, **data: Any) -> str:
    """Answer a question; the page that follows."""
    return text_of(await http.post(url, data, follow=True))


async def log() -> list[str]:
    """What was written down, oldest first."""
    entries = LogEntry.objects.order_by("pk")
    return [entry.get_change_message() async for entry in entries]


async def members(*names: str, room_id: str = "r") -> list[Member]:
    """Clients that are in a room."""
    clients = await connected(*names)
    for client in clients:
        await client.join(room_id)
    return clients
