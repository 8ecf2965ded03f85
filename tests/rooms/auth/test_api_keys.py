"""API keys: how long processes cache them, and when their use is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.test import AsyncClient
from django.utils import timezone

from rooms.auth import api_keys
from rooms.models import ApiKey
from tests.keys import create, get, revoke

pytestmark = [
    pytest.mark.usefixtures("running_hub", "fresh_keyring"),
    pytest.mark.django_db(transaction=True),
]


async def test_only_the_hash_of_a_key_is_kept() -> None:
    key = await create("one")

    kept = await ApiKey.objects.aget(name="one")

    assert key.startswith("beam_")
    assert key not in str(vars(kept))
    assert len(kept.hashed) == 64


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time the keys are read."""
    seen: list[int] = []
    read = api_keys._active_keys

    def counted() -> dict[str, api_keys.Caller]:
        seen.append(1)
        return read()

    monkeypatch.setattr(api_keys, "_active_keys", counted)
    return seen


async def elsewhere(change: Any) -> None:
    """Change the table as another process would: without a change of this keyring."""
    await sync_to_async(change)()


async def test_a_revoked_key_is_refused_at_once(async_client: AsyncClient) -> None:
    key = await create("one")
    assert (await get(async_client, key)).status_code == 200

    assert await revoke("one")
    assert not await revoke("one")

    assert (await get(async_client, key)).status_code == 401


async def test_a_key_that_another_process_revoked_is_refused_after_the_cache_time(
    async_client: AsyncClient, clock: Callable[[float], None]
) -> None:
    key = await create("one")
    await get(async_client, key)
    await elsewhere(lambda: ApiKey.objects.update(revoked=timezone.now()))

    assert (await get(async_client, key)).status_code == 200
    clock(api_keys.CACHE_SECONDS + 1)

    assert (await get(async_client, key)).status_code == 401


async def test_keys_are_read_once_per_cache_time(
    async_client: AsyncClient, reads: list[int]
) -> None:
    key = await create("one")

    for _ in range(5):
        await get(async_client, key)

    assert len(reads) == 1


async def test_unknown_keys_do_not_cause_a_query_each(
    async_client: AsyncClient, reads: list[int], clock: Callable[[float], None]
) -> None:
    for n in range(20):
        assert (await get(async_client, f"beam_{n}")).status_code == 401
    assert len(reads) == 1

    clock(api_keys.RETRY_SECONDS + 0.1)
    await asyncio.gather(*(api_keys.keyring.find(f"beam_{n}") for n in range(20)))

    assert len(reads) == 2


async def test_a_key_of_another_process_is_accepted_after_a_second(
    clock: Callable[[float], None],
) -> None:
    await api_keys.keyring.find("beam_unknown")
    made = ApiKey(name="new", hashed=api_keys._hash("beam_new"), scopes=["rooms:read"])
    await elsewhere(made.save)

    clock(api_keys.RETRY_SECONDS + 0.1)

    assert await api_keys.keyring.find("beam_new") is not None


async def test_known_keys_stay_valid_while_the_database_is_unavailable(
    async_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    clock: Callable[[float], None],
) -> None:
    key = await create("one")
    await get(async_client, key)

    def fail() -> dict[str, api_keys.Caller]:
        raise DatabaseError

    monkeypatch.setattr(api_keys, "_active_keys", fail)
    clock(api_keys.CACHE_SECONDS + 1)

    assert (await get(async_client, key)).status_code == 200
    clock(api_keys.RETRY_SECONDS + 0.1)
    assert (await get(async_client, "beam_other")).status_code == 503


async def test_last_uses_are_not_written_by_requests() -> None:
    key = await create("one")
    ring = api_keys.Keyring()
    await ring.find(key)
    await ring.find(key)
    assert (await ApiKey.objects.aget(name="one")).last_used is None

    await ring.write_last_uses()

    assert (await ApiKey.objects.aget(name="one")).last_used is not None


async def test_a_last_use_that_could_not_be_written_is_retried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = await create("one")
    ring = api_keys.Keyring()
    await ring.find(key)

    def fail(used: set[str]) -> None:
        raise DatabaseError

    with monkeypatch.context() as broken:
        broken.setattr(api_keys, "_mark_used", fail)
        await ring.write_last_uses()
    assert "Last uses of API keys are not written yet" in caplog.text
    await ring.write_last_uses()

    assert (await ApiKey.objects.aget(name="one")).last_used is not None
