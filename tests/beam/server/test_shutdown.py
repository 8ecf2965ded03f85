"""The connections of a process that stops are closed in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.server import shutdown
from rooms.protocol.close_codes import Close


class FakeConnection:
    """A connection that logs the time and the code of its close."""

    def __init__(self, closed: list[tuple[float, Close]]) -> None:
        self._closed = closed

    def close(self, code: Close, reason: str = "") -> None:
        self._closed.append((asyncio.get_running_loop().time(), code))


async def close_all(count: int) -> list[tuple[float, Close]]:
    closed: list[tuple[float, Close]] = []
    connections: list[Any] = [FakeConnection(closed) for _ in range(count)]
    await shutdown.close_all(connections)
    return closed


async def test_every_connection_is_closed_with_1012(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"drain_batch": 2, "drain_seconds": 0.1}

    closed = await close_all(5)

    assert [code for _, code in closed] == [Close.RESTART] * 5


async def test_batches_fit_into_the_limit(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"drain_batch": 1, "drain_seconds": 0.2}

    closed = await close_all(4)

    times = [at for at, _ in closed]
    assert times[-1] - times[0] < 0.2
    assert times == sorted(set(times))


@pytest.mark.parametrize("count", [0, 3])
async def test_one_batch_needs_no_pause(settings: Settings, count: int) -> None:
    settings.BEAM = settings.BEAM | {"drain_batch": 100, "drain_seconds": 60.0}

    async with asyncio.timeout(1):
        assert len(await close_all(count)) == count
