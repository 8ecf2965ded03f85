"""The loop of a process in a deployment with Redis: renewals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam import redis
from presence import factory
from presence.cluster import Cluster
from rooms.messaging.hub import Hub
from rooms.runtime import runtime
from tests.clients import until

RENEW = 0.2

pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


@pytest.fixture
async def renewed(backend: str, running_hub: Hub, settings: Settings) -> None:
    """A runtime that has renewed its lease."""
    seconds = {"lease_renew": RENEW, "lease_seconds": 5 * RENEW}
    settings.BEAM = settings.BEAM | seconds
    runtime().start()
    await runtime().closed_rooms_known()


@pytest.mark.usefixtures("renewed")
async def test_leases_are_renewed_more_often_than_redis_is_probed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed: list[float] = []
    loop = asyncio.get_running_loop()

    async def renew(*_: Any) -> bool:
        renewed.append(loop.time())
        return True

    monkeypatch.setattr(Cluster, "renew", renew)
    await until(lambda: len(renewed) >= 6, 10)

    # Probes of Redis are one second apart.
    assert renewed[5] - renewed[0] < 5.0


@pytest.mark.usefixtures("renewed")
async def test_a_lease_is_renewed_while_a_turn_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, leases = factory.shared()
    held = asyncio.Event()

    async def hold(*_: Any) -> Any:
        held.set()
        await asyncio.Event().wait()

    # A turn takes long if thousands of topics of dead processes are reaped.
    monkeypatch.setattr(Cluster, "renew", hold)
    async with asyncio.timeout(10):
        await held.wait()
    before = await count(leases.process)

    loop = asyncio.get_running_loop()
    end = loop.time() + 10 * RENEW
    await until(lambda: loop.time() > end, 10)

    leases.check()
    assert await count(leases.process) > before + 3


async def count(process: str) -> int:
    """How often a process has renewed its lease."""
    return int(await redis.client().hget("beam:{processes}:beats", process) or 0)
