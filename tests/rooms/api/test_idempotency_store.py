"""The store of answers without Redis."""

from __future__ import annotations

import time

import pytest

from rooms.api import idempotency_store


async def test_in_process_only_so_many_bytes_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(idempotency_store, "MAX_BYTES", 3_000)
    store = idempotency_store.LocalStore()

    for n in range(5):
        await store.put(f"k{n}", b"x" * 600)

    kept = [await store.get(f"k{n}") is not None for n in range(5)]
    assert kept == [False, False, True, True, True]
    for n in range(5):
        await store.drop(f"k{n}")
    assert store._bytes == 0


async def test_in_process_what_is_over_takes_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = idempotency_store.LocalStore()
    for n in range(5):
        await store.put(f"k{n}", b"x")
    later = time.monotonic() + idempotency_store.SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)

    await store.put("new", b"x")

    assert list(store._kept) == ["new"]


async def test_who_died_in_the_middle_holds_up_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = idempotency_store.LocalStore()
    assert await store.add("k", b"claim")
    assert not await store.add("k", b"claim")
    later = time.monotonic() + idempotency_store.CLAIM_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert await store.add("k", b"claim")
