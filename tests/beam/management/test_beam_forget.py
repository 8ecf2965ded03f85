"""`beam_forget` deletes the rows of unused rooms, and no others."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django.fixtures import Settings

from rooms.models import Room
from tests.clients import connected

pytestmark = pytest.mark.django_db(transaction=True)


def forget(*arguments: str) -> str:
    """The output of the command."""
    out = StringIO()
    call_command("beam_forget", *arguments, stdout=out)
    return out.getvalue()


def rooms() -> list[str]:
    """The rooms that have a row."""
    return list(Room.objects.values_list("room_id", flat=True))


@pytest.fixture
def some() -> None:
    """Old and new rooms, with and without settings."""
    now = timezone.now()
    old, new = now - timedelta(days=40), now - timedelta(days=2)
    kinds: dict[str, dict[str, Any]] = {
        "old": {"last_joined": old},
        "never": {"last_joined": None},
        "new": {"last_joined": new},
        "closed": {"last_joined": old, "closed": True},
        "small": {"last_joined": old, "capacity": 0},
        "graced": {"last_joined": old, "presence_grace": 0.0},
    }
    for room_id, fields in kinds.items():
        Room.objects.create(room_id=room_id, created=old, **fields)


@pytest.mark.usefixtures("some")
def test_only_rows_of_unused_rooms_are_deleted() -> None:
    assert forget("--dry-run") == "2 rooms would be deleted\n"
    assert len(rooms()) == 6

    assert forget() == "2 rooms deleted\n"
    assert rooms() == ["closed", "graced", "new", "small"]
    assert forget("--days", "1") == "1 rooms deleted\n"


def test_days_below_one_are_refused() -> None:
    with pytest.raises(CommandError, match="1 or more"):
        forget("--days", "0.5")


@pytest.mark.redis
@pytest.mark.usefixtures("some", "backend", "running_hub")
@pytest.mark.parametrize("backend", ["redis"], indirect=True)
async def test_a_room_with_members_is_kept() -> None:
    [ada] = await connected("ada")
    await ada.join("old")

    said = await sync_to_async(forget, thread_sensitive=False)()

    assert said == "1 rooms deleted\n"
    assert "old" in await sync_to_async(rooms)()


@pytest.mark.usefixtures("some")
def test_no_row_is_deleted_while_redis_is_unavailable(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://127.0.0.1:1/0"}

    with pytest.raises(CommandError, match=r"Redis at .* cannot be reached"):
        forget()
    assert len(rooms()) == 6
