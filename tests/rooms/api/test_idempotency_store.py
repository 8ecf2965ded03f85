"""The store of answers in this process."""

from __future__ import annotations

import time

import pytest

from rooms.api import idempotency_store


async def test_the_oldest_answers_are_dropped_above_the_limit_of_bytes(
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


async def test_expired_answers_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = idempotency_store.LocalStore()
    for n in range(5):
        await store.put(f"k{n}", b"x")
    later = time.monotonic() + idempotency_store.SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)

    await store.put("new", b"x")

    assert list(store._kept) == ["new"]


async def test_the_claim_of_a_process_that_died_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = idempotency_store.LocalStore()
    assert await store.add("k", b"claim")
    assert not await store.add("k", b"claim")
    later = time.monotonic() + idempotency_store.CLAIM_SECONDS + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)

    assert await store.add("k", b"claim")
