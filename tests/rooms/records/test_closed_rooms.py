"""Closed rooms are closed from the first moment on, and empty."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError

from beam import redis
from presence import admission
from presence.factory import tracker
from rooms import moderation
from rooms import runtime as runtime_module
from rooms.messaging import publisher
from rooms.messaging.hub import Hub
from rooms.models import Room
from rooms.protocol.identifiers import room_topic
from rooms.records import closed_rooms
from rooms.runtime import Runtime, runtime
from tests.clients import connected, until
from tests.fakes import IdleUpkeep

close_again = closed_rooms.close_again


async def test_a_join_waits_until_it_is_known_which_rooms_are_closed(
    running_hub: Hub,
) -> None:
    asked, known = asyncio.Event(), asyncio.Event()

    async def slowly() -> bool:
        asked.set()
        await known.wait()
        await tracker().ban(room_topic("r"), admission.EVERYONE)
        return True

    runtime.put(Runtime(IdleUpkeep(slowly)))
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

    monkeypatch.setattr(runtime_module, "ASK_SECONDS", 0.01)
    runtime.put(Runtime(IdleUpkeep(sometimes)))
    [ada] = await connected("ada")
    # Nobody is kept out for want of a database.
    await ada.join("r")

    await until(lambda: asked == [False, False, True])


class Weather:
    """A cluster whose renewals end as told: an error, or whether Redis knew us."""

    def __init__(self, *ends: bool | Exception) -> None:
        self._ends = iter(ends)

    async def renew(self, info: Any) -> bool:
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return end


@pytest.mark.parametrize(
    ("answers", "closed_after"),
    [
        ([True, True], [1, 1]),
        ([True, False, True], [1, 2, 2]),
        # It may have been new to Redis before that failed.
        ([True, redis.Unavailable(), True, True], [1, 1, 2, 2]),
    ],
)
async def test_gates_that_may_be_lost_are_shut_again(
    running_hub: Hub,
    answers: list[bool | Exception],
    closed_after: list[int],
) -> None:
    times = 0

    async def count() -> bool:
        nonlocal times
        times += 1
        return True

    runtime = Runtime(IdleUpkeep(count))
    runtime._cluster = Weather(*answers)  # type: ignore[assignment]
    runtime._gap = True

    for answer, expected in zip(answers, closed_after, strict=True):
        with suppress(redis.Unavailable):
            await runtime._renew()
        assert times == expected, answer


async def test_a_removal_that_was_not_relayed_is_tried_again(
    running_hub: Hub,
) -> None:
    ends = iter([publisher.NotPublished("away"), None])
    asked: list[bool] = []

    async def close_some() -> bool:
        error = next(ends)
        asked.append(error is None)
        if error is not None:
            raise error
        return True

    runtime = Runtime(IdleUpkeep(close_some))
    runtime._cluster = Weather(True, True)  # type: ignore[assignment]
    runtime._gap = True
    with pytest.raises(publisher.NotPublished):
        await runtime._renew()
    await runtime._renew()

    assert asked == [False, True]


@pytest.mark.django_db(transaction=True)
async def test_while_redis_is_away_a_room_stays_as_it_is(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise redis.Unavailable

    monkeypatch.setattr(tracker(), "ban", away)
    with pytest.raises(redis.Unavailable):
        await moderation.close_all(["a", "b"])

    assert not await Room.objects.aexists()


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


@pytest.mark.usefixtures("running_hub")
async def test_a_database_that_is_away_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> list[str]:
        raise DatabaseError("connection refused\n\tIs the server running?")

    caplog.set_level("INFO", "rooms.records.closed_rooms")
    monkeypatch.setattr(closed_rooms, "_closed", away)
    for _ in range(3):
        assert not await close_again()
    monkeypatch.setattr(closed_rooms, "_closed", list)
    for _ in range(2):
        assert await close_again()

    assert caplog.messages == [
        "Cannot read from the database which rooms are closed: connection refused",
        "Closed rooms are read from the database again",
    ]


@pytest.mark.django_db(transaction=True)
async def test_what_is_marked_is_found(running_hub: Hub) -> None:
    await moderation.close_all(["a", "b"])
    assert await sync_to_async(closed_rooms._closed)() == ["a", "b"]

    await closed_rooms.open_again("a")
    assert await sync_to_async(closed_rooms._closed)() == ["b"]
