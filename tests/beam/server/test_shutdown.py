"""A process that stops closes its connections in batches, and waits up to limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.server import shutdown
from rooms.protocol.close_codes import Close
from rooms.runtime import Runtime, runtime
from tests.clients import until
from tests.fakes import IdleUpkeep


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


class FakeServer:
    """A server that logs what it does. `ended`: its connections have ended."""

    def __init__(self, *, ended: bool) -> None:
        known = {"disconnected": 1.0} if ended else {}
        self.connections: dict[Any, dict[str, Any]] = {"one": known}
        self.log: list[str] = []

    async def stop_listening(self) -> None:
        self.log.append("stop_listening")

    def stop(self) -> None:
        self.log.append("stop")


class HangingRuntime(Runtime):
    """A runtime that waits for a database or a Redis that does not answer."""

    async def stop(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("ended", "kind", "lines"),
    [
        (True, Runtime, []),
        (False, Runtime, ["Some connections did not end in time"]),
        (True, HangingRuntime, ["Some tasks did not end in time"]),
    ],
)
async def test_a_step_that_takes_too_long_is_logged_and_the_process_ends(
    caplog: pytest.LogCaptureFixture,
    ended: bool,
    kind: type[Runtime],
    lines: list[str],
) -> None:
    runtime.put(kind(IdleUpkeep()))
    server = FakeServer(ended=ended)
    ending = shutdown.Shutdown(server, close_seconds=0.1)

    ending.begin()
    ending.begin()
    await until(lambda: "stop" in server.log)

    assert server.log == ["stop_listening", "stop"]
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == lines
