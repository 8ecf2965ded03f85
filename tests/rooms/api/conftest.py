"""Fixtures of the tests of the API."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from beam.asgi import application
from rooms.api import authentication
from rooms.auth import api_keys
from rooms.messaging.hub import Hub


@pytest.fixture
def own(backend: str, running_hub: Hub) -> None:
    """The backend that the test names, and then the hub."""


@pytest.fixture
def fresh() -> None:
    """No key is cached, no rate is used up."""
    api_keys.keyring.clear()
    authentication._rate_limits().clear()


@pytest.fixture
async def api(fresh: None) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the ASGI application."""
    transport = httpx.ASGITransport(app=application, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://beam") as http:
        yield http


@pytest.fixture
def room(backend: str) -> str:
    """A room of the test's own, with characters that need escaping in a path."""
    return f"{secrets.token_hex(4)} é 100%/x"
