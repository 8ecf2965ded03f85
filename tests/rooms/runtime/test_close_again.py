"""Rooms that the database says are closed are closed again when it is due."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from beam import redis
from presence import admission
from presence.factory import tracker
from rooms.messaging import publisher
from rooms.messaging.hub import Hub
from rooms.protocol.identifiers import room_topic
from rooms.runtime import Runtime, close_again, runtime
from rooms.runtime.close_again import RoomCloser
from tests.clients import connected, until
from tests.fakes import IdleUpkeep


async def test_a_join_waits_until_closed_rooms_are_closed(running_hub: Hub) -> None:
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


async def test_a_database_that_is_unavailable_is_asked_again(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, False, True])
    asked: list[bool] = []

    async def sometimes() -> bool:
        asked.append(next(answers))
        return asked[-1]

    monkeypatch.setattr(close_again, "RETRY_SECONDS", 0.01)
    runtime.put(Runtime(IdleUpkeep(sometimes)))
    [ada] = await connected("ada")
    # A database that is unavailable refuses no join.
    await ada.join("r")

    await until(lambda: asked == [False, False, True])


def never() -> None:
    """A retry that must not happen."""
    raise AssertionError("the database was available")


async def renewal(end: bool | Exception) -> bool:
    """A renewal that fails, or returns whether Redis knew this process."""
    if isinstance(end, Exception):
        raise end
    return end


@pytest.mark.parametrize(
    ("renewals", "closed_after"),
    [
        ([True, True], [1, 1]),
        ([True, False, True], [1, 2, 2]),
        # It may have been new to Redis before that failed.
        ([True, redis.Unavailable(), True, True], [1, 1, 2, 2]),
    ],
)
async def test_rooms_are_closed_again_after_redis_may_have_lost_them(
    renewals: list[bool | Exception], closed_after: list[int]
) -> None:
    times = 0

    async def count() -> bool:
        nonlocal times
        times += 1
        return True

    closer = RoomCloser(count, never)

    for end, expected in zip(renewals, closed_after, strict=True):
        with suppress(redis.Unavailable):
            await closer.after_renewal(renewal(end))
        assert times == expected, end


async def test_a_removal_that_was_not_published_is_tried_again() -> None:
    ends = iter([publisher.NotPublished("unavailable"), None])
    asked: list[bool] = []

    async def close_some() -> bool:
        error = next(ends)
        asked.append(error is None)
        if error is not None:
            raise error
        return True

    closer = RoomCloser(close_some, never)
    with pytest.raises(publisher.NotPublished):
        await closer.after_renewal(renewal(True))
    await closer.after_renewal(renewal(True))

    assert asked == [False, True]


async def test_after_a_retry_the_next_renewal_closes_rooms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(close_again, "RETRY_SECONDS", 0.0)
    answers, retried = iter([False, True]), asyncio.Event()

    async def close() -> bool:
        return next(answers)

    closer = RoomCloser(close, retried.set)
    await closer.after_renewal(renewal(True))
    await asyncio.wait_for(retried.wait(), 5)
    await closer.after_renewal(renewal(True))

    assert next(answers, None) is None
