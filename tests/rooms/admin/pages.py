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
    """A room with a row."""
    return await Room.objects.acreate(room_id=room_id, **fields)


def page(room: Room, *action: str) -> str:
    """The path of a room's page, or of the page of an action on it."""
    return "/".join([LIST.rstrip("/"), str(room.pk), *(action or ("change",)), ""])


async def post(http: AsyncClient, url: str, **data: Any) -> str:
    """Submit a form; the text of the page that follows."""
    return text_of(await http.post(url, data, follow=True))


async def log() -> list[str]:
    """The texts of the admin's log, oldest first."""
    entries = LogEntry.objects.order_by("pk")
    return [entry.get_change_message() async for entry in entries]


async def members(*names: str, room_id: str = "r") -> list[Member]:
    """Clients that have joined a room."""
    clients = await connected(*names)
    for client in clients:
        await client.join(room_id)
    return clients
