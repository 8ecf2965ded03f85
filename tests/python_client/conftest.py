"""Fixtures of the tests of the Python client."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the client, which do not wait."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("beam_client.client.time.sleep", pauses.append)
    monkeypatch.setattr("beam_client.async_client.asyncio.sleep", sleep)
    return pauses
