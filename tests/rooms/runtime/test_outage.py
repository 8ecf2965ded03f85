"""When an outage of Redis begins and ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis.exceptions import OutOfMemoryError, ReadOnlyError

from beam import redis
from rooms.messaging.hub import Hub
from rooms.runtime import runtime
from tests.clients import until

RENEW = 0.2

pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


@pytest.fixture
async def link(backend: str, running_hub: Hub, settings: Settings) -> redis.Link:
    """The link of a loop whose runtime has renewed its lease."""
    seconds = {"lease_renew": RENEW, "lease_seconds": 5 * RENEW}
    settings.BEAM = settings.BEAM | seconds
    runtime().start()
    await runtime().closed_rooms_known()
    return redis.link()


class Probes:
    """Answers probes as the test says, and logs probes and reconnects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: bool) -> None:
        self.log: list[str] = []
        self._answers = list(answers)
        monkeypatch.setattr(redis.Batch, "probe", self._probe)
        monkeypatch.setattr(redis, "reconnect", self._reconnect)

    async def _probe(self, *_: Any) -> bool:
        self.log.append("probe")
        return self._answers.pop(0) if self._answers else True

    async def _reconnect(self) -> None:
        self.log.append("reconnect")


async def test_an_outage_ends_with_the_first_write_that_redis_accepts(
    link: redis.Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = Probes(monkeypatch, False, False)

    link.failed(OutOfMemoryError("", status_code="OOM"))
    await until(lambda: link.up)

    assert probes.log[:3] == ["probe"] * 3


async def test_a_demoted_master_is_probed_over_new_connections(
    link: redis.Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = Probes(monkeypatch, False)

    link.failed(ReadOnlyError("", status_code="READONLY"))
    await until(lambda: link.up)

    assert probes.log[:4] == ["reconnect", "probe"] * 2
    assert not link.moved


async def test_an_outage_that_returns_does_not_end_at_once(link: redis.Link) -> None:
    link.failed(OutOfMemoryError("", status_code="OOM"))
    await until(lambda: link.up)
    loop = asyncio.get_running_loop()

    link.failed(OutOfMemoryError("", status_code="OOM"))
    began = loop.time()
    await until(lambda: link.up)

    assert loop.time() - began >= RENEW
