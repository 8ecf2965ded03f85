"""Closed rooms: saved in the database, and closed again from there."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from beam import redis
from presence.factory import tracker
from rooms import moderation
from rooms.messaging.hub import Hub
from rooms.models import Room
from rooms.records import closed_rooms
from tests.clients import connected

close_again = closed_rooms.close_again


@pytest.mark.django_db(transaction=True)
async def test_without_redis_the_database_is_not_changed(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise redis.Unavailable

    monkeypatch.setattr(tracker(), "ban", fail)
    with pytest.raises(redis.Unavailable):
        await moderation.close_all(["a", "b"])

    assert not await Room.objects.aexists()


@pytest.mark.django_db(transaction=True)
async def test_members_that_joined_a_closed_room_are_removed(running_hub: Hub) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("shut")
    await bob.join("open")
    await Room.objects.acreate(room_id="shut", closed=True)
    await Room.objects.acreate(room_id="empty", closed=True)

    assert await close_again()

    assert await ada.event("beam_removed") == {"reason": "room_closed"}
    await ada.event("phx_close")
    assert (await ada.try_join("empty"))["response"]["reason"] == "room_closed"
    await bob.ask("room:open", "ping", {"broadcast": True})


@pytest.mark.usefixtures("running_hub")
async def test_an_outage_of_the_database_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> list[str]:
        raise DatabaseError("connection refused\n\tIs the server running?")

    caplog.set_level("INFO", "rooms.records.closed_rooms")
    monkeypatch.setattr(closed_rooms, "_closed", fail)
    for _ in range(3):
        assert not await close_again()
    monkeypatch.setattr(closed_rooms, "_closed", list)
    for _ in range(2):
        assert await close_again()

    assert caplog.messages == [
        "Cannot read the closed rooms from the database: connection refused",
        "The closed rooms can be read from the database again",
    ]


@pytest.mark.django_db(transaction=True)
async def test_closed_rooms_are_saved_in_the_database(running_hub: Hub) -> None:
    await moderation.close_all(["a", "b"])
    assert await sync_to_async(closed_rooms._closed)() == ["a", "b"]

    await closed_rooms.open_again("a")
    assert await sync_to_async(closed_rooms._closed)() == ["b"]
