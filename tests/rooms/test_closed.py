"""Closed rooms are closed from the first moment on, and empty."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from presence import gate
from presence.backend import tracker
from rooms import closed
from rooms.address import room_topic
from rooms.hub import Hub
from rooms.models import Room
from tests.clients import connected, until

close_again = closed.close_again


async def test_a_join_waits_until_it_is_known_which_rooms_are_closed(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, known = asyncio.Event(), asyncio.Event()

    async def slowly() -> bool:
        asked.set()
        await known.wait()
        await tracker().shut(room_topic("r"), gate.EVERYBODY)
        return True

    monkeypatch.setattr("rooms.keeper.close_again", slowly)
    [ada] = await connected("ada")
    join = asyncio.create_task(ada.try_join("r"))
    await asked.wait()
    known.set()

    assert (await join)["response"]["reason"] == "room_closed"


async def test_a_database_that_cannot_tell_is_asked_again(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, True])
    asked: list[bool] = []

    async def sometimes() -> bool:
        asked.append(next(answers))
        return asked[-1]

    monkeypatch.setattr("rooms.keeper.ASK_SECONDS", 0.01)
    monkeypatch.setattr("rooms.keeper.close_again", sometimes)
    [ada] = await connected("ada")
    # Nobody is kept out for want of a database.
    await ada.join("r")

    await until(lambda: asked == [False, False, True])


@pytest.mark.django_db(transaction=True)
async def test_who_came_in_meanwhile_is_taken_out(running_hub: Hub) -> None:
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


async def test_without_a_database_it_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> list[str]:
        raise DatabaseError

    monkeypatch.setattr(closed, "_closed", away)

    assert not await close_again()
    assert "Cannot tell which rooms are closed" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_what_is_marked_is_found(running_hub: Hub) -> None:
    await closed.close("a")
    assert await sync_to_async(closed._closed)() == ["a"]

    await closed.open_again("a")
    assert await sync_to_async(closed._closed)() == []
