"""Settings of single rooms apply in every process."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.db import DatabaseError
from pytest_django.fixtures import Settings

from rooms.models import Room
from rooms.records import room_overrides, room_policy
from rooms.records.room_policy import policy_for
from rooms.runtime import Runtime, runtime
from tests.clients import connected, until
from tests.fakes import IdleUpkeep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_set() -> Iterator[None]:
    """Remove the settings after each test."""
    yield
    room_policy.set_overrides({})


async def test_settings_of_a_room_win_over_general_settings(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {
        "room_capacity": 7,
        "room_policies": {"x*": {"capacity": 5, "presence_grace": 1.5}},
    }
    await Room.objects.acreate(room_id="x1", capacity=2)
    await Room.objects.acreate(room_id="x2", presence_grace=0.0)
    await Room.objects.acreate(room_id="x3", closed=True)

    await room_overrides.load()

    assert policy_for("x1") == room_policy.Policy(presence_grace=1.5, capacity=2)
    assert policy_for("x2") == room_policy.Policy(presence_grace=0.0, capacity=5)
    assert policy_for("x3") == room_policy.Policy(presence_grace=1.5, capacity=5)
    assert policy_for("y").capacity == 7


async def test_a_removed_setting_no_longer_applies() -> None:
    await Room.objects.acreate(room_id="r", capacity=2)
    await room_overrides.load()
    await Room.objects.aupdate(capacity=None)

    await room_overrides.load()

    assert policy_for("r").capacity == 0


async def test_settings_stay_while_the_database_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await Room.objects.acreate(room_id="r", capacity=2)
    await room_overrides.load()

    def fail() -> None:
        raise DatabaseError

    monkeypatch.setattr(room_overrides, "_read", fail)
    with caplog.at_level(logging.WARNING):
        await room_overrides.load()

    assert policy_for("r").capacity == 2
    assert "Cannot read the settings of rooms" in caplog.text


@pytest.mark.usefixtures("running_hub")
async def test_a_change_is_loaded_by_every_process() -> None:
    runtime.put(Runtime(IdleUpkeep(reads_overrides=True)))
    ada, bob = await connected("ada", "bob")
    await Room.objects.acreate(room_id="r", capacity=1)

    await room_overrides.publish_change()
    await ada.join("r")

    await until(lambda: policy_for("r").capacity == 1)
    reply = await bob.try_join("r")
    assert reply["response"]["reason"] == "room_full"
