"""A process's beat: what it writes down, and that nothing is left at the end."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from pytest_django.fixtures import Settings

from rooms.auth import api_keys
from rooms.models import Room
from rooms.monitoring import reporter as pulse_module
from rooms.monitoring.activity import activity, gather, gathered
from rooms.monitoring.process_stats import Figures
from rooms.monitoring.reporter import Pulse
from rooms.records.room_rows import Registry, registry
from tests.clients import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_waits_is_written_at_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}
    registry = Registry()
    monkeypatch.setattr(pulse_module, "registry", registry)
    gather()
    row, key = await sync_to_async(api_keys.make)("billing", api_keys.SCOPES)
    pulse = Pulse()
    pulse.start()
    await api_keys.keyring.find(key)
    registry.joined("r-pulse")
    gathered.note_sent("room:r-pulse", "changed", "key:billing")

    await pulse.stop()

    await row.arefresh_from_db()
    assert row.last_used is not None
    assert await Room.objects.filter(room_id="r-pulse").aexists()
    [sent] = await activity().sent("room:r-pulse")
    assert sent["event"] == "changed"


async def test_what_never_began_ends_without_a_word() -> None:
    registry.joined("r-never")

    await Pulse().stop()

    assert not await Room.objects.aexists()
    await registry.write()


async def test_a_database_that_hangs_holds_up_no_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Figures] = []
    held = asyncio.Event()
    monkeypatch.setattr(pulse_module, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr("rooms.records.room_overrides.load", held.wait)
    monkeypatch.setattr("rooms.monitoring.shared_stats.siblings.write", written.append)
    pulse = Pulse()

    pulse.start()

    await until(lambda: len(written) > 10)
    held.set()
    await pulse.stop()


async def test_rows_are_forgotten_once_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1

    monkeypatch.setattr("rooms.records.cleanup.run", run)
    pulse = Pulse()
    pulse.start()
    try:
        await pulse.forget()
        assert runs == 0
        pulse._forget_at = 0.0
        await pulse.forget()
        await pulse.forget()
        assert runs == 1
    finally:
        await pulse.stop()
