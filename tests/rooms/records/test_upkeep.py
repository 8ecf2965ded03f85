"""Upkeep of the database: what is written at the stop, and how often it cleans up."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from rooms.auth import api_keys
from rooms.models import Room
from rooms.monitoring import host_stats
from rooms.monitoring import reporter as reporter_module
from rooms.monitoring.process_stats import ProcessStats
from rooms.monitoring.reporter import Reporter
from rooms.records import cleanup, room_overrides
from rooms.records import upkeep as upkeep_module
from rooms.records.room_rows import RoomRows, room_rows
from rooms.records.upkeep import Upkeep
from tests.clients import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_waiting_rows_are_written_at_the_stop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}
    room_rows = RoomRows()
    monkeypatch.setattr(upkeep_module, "room_rows", room_rows)
    row, key = await sync_to_async(api_keys.make)("billing", api_keys.SCOPES)
    upkeep = Upkeep()
    upkeep.start()
    await api_keys.keyring.find(key)
    room_rows.joined("r-waits")

    await upkeep.stop()

    await row.arefresh_from_db()
    assert row.last_used is not None
    assert await Room.objects.filter(room_id="r-waits").aexists()


async def test_an_upkeep_that_was_not_started_writes_nothing() -> None:
    room_rows.joined("r-never")

    await Upkeep().stop()

    assert not await Room.objects.aexists()
    await room_rows.write()


async def test_a_database_that_hangs_does_not_delay_reports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[ProcessStats] = []
    held = asyncio.Event()
    monkeypatch.setattr(reporter_module, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(room_overrides, "load", held.wait)
    monkeypatch.setattr(host_stats.host_processes, "write", written.append)
    upkeep, reporter = Upkeep(), Reporter()

    upkeep.start()
    reporter.start()

    await until(lambda: len(written) > 10)
    held.set()
    await reporter.stop()
    await upkeep.stop()


async def test_unused_rows_are_deleted_once_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    monkeypatch.setattr(cleanup, "run", run)
    upkeep = Upkeep()

    await upkeep.clean_up()
    assert runs == 0
    upkeep._cleanup_at = 0.0
    await upkeep.clean_up()
    await upkeep.clean_up()
    assert runs == 1
