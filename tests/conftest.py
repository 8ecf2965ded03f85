"""What every test may ask for: servers, a Redis, a fresh event loop's hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import RedisServer, Server, redis_server, serve

Serve = Callable[..., Server]


@pytest.fixture
def beam_server(tmp_path: Path) -> Iterator[Serve]:
    """`beam_server(kind="beam", **env)` starts a server; all end with the test."""
    with ExitStack() as stack:

        def start(kind: str = "beam", **env: str) -> Server:
            return stack.enter_context(serve(tmp_path, kind, **env))

        yield start


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One redis-server for all tests that do not disturb it."""
    with redis_server() as server:
        yield server
