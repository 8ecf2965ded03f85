"""What every test may ask for: servers, a Redis, a fresh event loop's hub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from channels.layers import get_channel_layer
from pytest_django.fixtures import Settings

from beam import redis
from rooms.hub import Hub, hub
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


@pytest.fixture(params=["in process", pytest.param("redis", marks=pytest.mark.redis)])
def backend(request: pytest.FixtureRequest, settings: Settings) -> str:
    """Each back end in turn: the channel layer and presence both use it."""
    if request.param == "redis":
        url = request.getfixturevalue("shared_redis").url
        settings.CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
                "CONFIG": {"hosts": [url]},
            }
        }
        settings.BEAM = settings.BEAM | {"redis_url": url}
    return str(request.param)


@pytest.fixture
async def running_hub() -> AsyncIterator[Hub]:
    """This loop's hub, started; stopped with its layer and clients."""
    mine = hub()
    await mine.start()
    yield mine
    await mine.stop()
    flush = getattr(get_channel_layer(), "flush", None)
    if flush is not None:
        await flush()
    await redis.close()
