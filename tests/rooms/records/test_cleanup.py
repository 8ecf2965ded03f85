"""Unused rows are deleted, by one process at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django.fixtures import Settings
from redis import Redis

from beam.config.conf import conf
from beam.telemetry import metrics
from presence import factory as backends
from rooms.models import Room
from rooms.records import cleanup
from tests.clients import connected, until
from tests.processes import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)

rooms = sync_to_async(lambda: list(Room.objects.values_list("room_id", flat=True)))


async def add(room_id: str, days: float, **fields: Any) -> None:
    """Add the row of a room that was joined so many days ago."""
    joined = timezone.now() - timedelta(days=days)
    await Room.objects.acreate(
        room_id=room_id, last_joined=joined, created=joined, **fields
    )


@pytest.mark.usefixtures("running_hub")
async def test_rooms_that_were_not_joined_for_long_are_deleted() -> None:
    before = metrics.ROOMS_FORGOTTEN.value
    [ada] = await connected("ada")
    await ada.join("here")
    await add("here", conf().forget_days + 1)
    await add("old", conf().forget_days + 1)
    await add("new", conf().forget_days - 1)
    await add("closed", conf().forget_days + 1, closed=True)

    await cleanup.run()

    assert await rooms() == ["closed", "here", "new"]
    assert metrics.ROOMS_FORGOTTEN.value == before + 1


@pytest.mark.usefixtures("running_hub")
async def test_rows_are_bounded_and_rooms_with_settings_stay(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"room_rows": 2, "forget_days": 0}
    await add("set", 9, capacity=3)
    for days in range(5):
        await add(f"r{days}", days)

    await cleanup.run()

    assert await rooms() == ["r0", "r1", "set"]


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows are read, and two deleted, in one query."""
    monkeypatch.setattr(cleanup, "MAX_READ", 3)
    monkeypatch.setattr(cleanup, "BATCH_SIZE", 2)


@pytest.mark.usefixtures("running_hub", "few_at_once")
async def test_a_run_ends_after_its_maximum_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"forget_days": 1}
    for n in range(5):
        await add(f"r{n}", 10 + n)
    monkeypatch.setattr(cleanup, "RUN_SECONDS", 0.0)

    await cleanup.run()

    # The oldest first; the next run deletes the others.
    assert await rooms() == ["r0", "r1"]


@pytest.mark.usefixtures("running_hub", "few_at_once")
@pytest.mark.parametrize(
    "limits", [{"room_rows": 2, "forget_days": 0}, {"forget_days": 1}]
)
async def test_rooms_with_members_do_not_block_the_deletion_of_others(
    settings: Settings, limits: dict[str, int]
) -> None:
    settings.BEAM = settings.BEAM | limits
    [ada] = await connected("ada")
    # The rooms with the oldest joins have members.
    for n in range(4):
        await ada.join(f"live{n}")
        await add(f"live{n}", 100)
    for n in range(20):
        await add(f"gone{n}", 10)

    await cleanup.run()

    assert await rooms() == [f"live{n}" for n in range(4)]


@pytest.mark.redis
@pytest.mark.usefixtures("backend", "running_hub")
@pytest.mark.parametrize("backend", ["redis"], indirect=True)
async def test_one_process_of_the_deployment_cleans_up(
    shared_redis: RedisServer,
) -> None:
    with Redis.from_url(shared_redis.url) as client:
        client.delete(f"{conf().redis_prefix}:forgetting")
    await add("first", 100)
    await cleanup.run()
    assert await rooms() == []

    await add("second", 100)
    await cleanup.run()

    assert await rooms() == ["second"]


@pytest.mark.usefixtures("running_hub")
async def test_expired_login_sessions_are_deleted() -> None:
    def login(seconds: int) -> str:
        session = SessionStore()
        session.set_expiry(seconds)
        session.create()
        return str(session.session_key)

    await sync_to_async(login)(-10)
    good = await sync_to_async(login)(1_000)

    await cleanup.run()

    found = [one.session_key async for one in Session.objects.all()]
    assert found == [good]


@pytest.mark.redis
@pytest.mark.usefixtures("backend", "running_hub")
@pytest.mark.parametrize("backend", ["redis"], indirect=True)
async def test_a_room_that_ended_leaves_one_key_for_ten_minutes(
    shared_redis: RedisServer,
) -> None:
    [ada] = await connected("ada")
    await ada.join("gone")
    await ada.ask("room:gone", "phx_leave", {})

    version = backends.shared()[0].keys("room:gone")[1]
    stem = version.rpartition(":")[0]
    with Redis.from_url(shared_redis.url) as client:
        await until(lambda: [*client.scan_iter(f"{stem}:*")] == [version.encode()])
        assert 0 < client.ttl(version) <= 600
