"""Fixtures of the journeys: a browser, and raw WebSocket clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Browser, async_playwright

from tests.processes import Server, find_chromium
from tests.raw import RawClient

Connect = Callable[[Server, str], Awaitable[RawClient]]

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=find_chromium(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


@pytest.fixture
async def raw() -> AsyncIterator[Connect]:
    """`await raw(server, user_id)` connects a client; all are closed after the test."""
    clients: list[RawClient] = []

    async def connect(server: Server, user_id: str) -> RawClient:
        clients.append(await RawClient.connect(server, user_id))
        return clients[-1]

    yield connect
    for client in clients:
        await client.abort()
