"""Rows of rooms: written after a join, in batches, at most once an hour."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.models import Room
from rooms.records import room_rows as module
from rooms.records.room_rows import RoomRows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(settings: Settings) -> None:
    """Rows are due at the first join, unless a test sets another time."""
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}


rooms = sync_to_async(lambda: list(Room.objects.values_list("room_id", flat=True)))


async def test_a_first_join_makes_a_row() -> None:
    room_rows = RoomRows()
    for room_id in ("a", "b", "a"):
        room_rows.joined(room_id)
    assert await rooms() == []

    await room_rows.write()

    assert await rooms() == ["a", "b"]
    assert (await Room.objects.aget(room_id="a")).last_joined is not None


def test_many_rows_are_written_in_few_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_max_num_queries(8):
        module._write([f"r{n}" for n in range(300)])

    assert Room.objects.count() == 300


async def test_further_joins_write_nothing_for_an_hour(
    clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_rows = RoomRows()
    room_rows.joined("a")
    await room_rows.write()
    written: list[object] = []
    monkeypatch.setattr(module, "_write", written.append)

    room_rows.joined("a")
    await room_rows.write()
    assert written == []

    clock(module.AGAIN_SECONDS + 1)
    room_rows.joined("a")
    await room_rows.write()
    assert written == [["a"]]


async def test_a_write_keeps_the_settings_of_a_room() -> None:
    await Room.objects.acreate(room_id="a", closed=True, capacity=5)
    room_rows = RoomRows()
    room_rows.joined("a")

    await room_rows.write()

    room = await Room.objects.aget(room_id="a")
    assert (room.closed, room.capacity) == (True, 5)
    assert room.last_joined is not None


async def test_a_failed_write_is_tried_again_later(
    clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    room_rows = RoomRows()
    room_rows.joined("a")

    def fail(_: object) -> None:
        raise DatabaseError

    with monkeypatch.context() as broken:
        broken.setattr(module, "_write", fail)
        await room_rows.write()
        await room_rows.write()
    assert caplog.text.count("Cannot write the rows") == 1

    await room_rows.write()
    assert await rooms() == []
    clock(module.RETRY_SECONDS + 1)
    await room_rows.write()
    assert await rooms() == ["a"]


async def test_waiting_rooms_are_bounded_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    lost = metrics.ROOMS_UNWRITTEN.value
    room_rows = RoomRows()

    for n in range(5):
        room_rows.joined(f"r{n}")

    assert metrics.ROOMS_UNWRITTEN.value == lost + 2
    await room_rows.write()
    assert await rooms() == ["r0", "r1", "r2"]


async def test_a_room_that_ended_soon_gets_no_row(
    settings: Settings, clock: Callable[[float], None]
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 60.0}
    room_rows = RoomRows()
    for n in range(1_000):
        room_rows.joined(f"short-{n}")
    room_rows.joined("long")

    clock(59)
    await room_rows.write("long".__eq__)
    assert await rooms() == []
    clock(2)
    await room_rows.write("long".__eq__)

    assert await rooms() == ["long"]
    # The others are forgotten: their next join is noted again.
    assert list(room_rows._known) == ["long"]
    room_rows.joined("short-1")
    clock(61)
    await room_rows.write("short-1".__eq__)
    assert await rooms() == ["long", "short-1"]
