"""A process's beat: what it writes down, and that nothing is left at the end."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from rooms.auth import api_keys
from rooms.models import Room
from rooms.monitoring import reporter as reporter_module
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer, take_buffer
from rooms.monitoring.process_stats import ProcessStats
from rooms.monitoring.reporter import Reporter
from rooms.records.room_rows import Registry, registry
from tests.clients import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_waits_is_written_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}
    registry = Registry()
    monkeypatch.setattr(reporter_module, "registry", registry)
    take_buffer()
    row, key = await sync_to_async(api_keys.make)("billing", api_keys.SCOPES)
    reporter = Reporter()
    reporter.start()
    await api_keys.keyring.find(key)
    registry.joined("r-pulse")
    activity_buffer.note_sent("room:r-pulse", "changed", "key:billing")

    await reporter.stop()

    await row.arefresh_from_db()
    assert row.last_used is not None
    assert await Room.objects.filter(room_id="r-pulse").aexists()
    [sent] = await activity().sent("room:r-pulse")
    assert sent["event"] == "changed"


async def test_what_never_began_ends_without_a_word() -> None:
    registry.joined("r-never")

    await Reporter().stop()

    assert not await Room.objects.aexists()
    await registry.write()


async def test_a_database_that_hangs_holds_up_no_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[ProcessStats] = []
    held = asyncio.Event()
    monkeypatch.setattr(reporter_module, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr("rooms.records.room_overrides.load", held.wait)
    monkeypatch.setattr(
        "rooms.monitoring.shared_stats.host_processes.write", written.append
    )
    reporter = Reporter()

    reporter.start()

    await until(lambda: len(written) > 10)
    held.set()
    await reporter.stop()


async def test_rows_are_forgotten_once_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    monkeypatch.setattr("rooms.records.cleanup.run", run)
    reporter = Reporter()
    reporter.start()
    try:
        await reporter.clean_up()
        assert runs == 0
        reporter._clean_up_at = 0.0
        await reporter.clean_up()
        await reporter.clean_up()
        assert runs == 1
    finally:
        await reporter.stop()
