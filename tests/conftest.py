"""Fixtures for all tests: servers, a Redis, the hub of a new event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from channels.layers import get_channel_layer
from django.contrib.contenttypes.management import create_contenttypes
from django.db.models.signals import post_migrate
from pytest_django.fixtures import Settings

from beam import redis
from beam.telemetry import log_summary
from rooms.api import authentication
from rooms.auth import api_keys
from rooms.messaging.hub import Hub, hub
from rooms.runtime import Runtime, runtime
from tests.fakes import IdleUpkeep
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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """As pytest-django does it, without new permissions after a test.

    Each time the tables of a test are emptied Django would create all permissions and
    content types again, which takes longer than most tests.
    """
    post_migrate.disconnect(
        dispatch_uid="django.contrib.auth.management.create_permissions"
    )
    post_migrate.disconnect(create_contenttypes)


IN_PROCESS = {
    "in process": "beam.redis.channel_layer.InProcessLayer",
    "stock in process": "channels.layers.InMemoryChannelLayer",
}
OVER_REDIS = {
    "redis": "beam.redis.channel_layer.RedisLayer",
    "stock redis": "channels_redis.pubsub.RedisPubSubChannelLayer",
}


@pytest.fixture(
    params=[
        *IN_PROCESS,
        *(pytest.param(name, marks=pytest.mark.redis) for name in OVER_REDIS),
    ]
)
def backend(request: pytest.FixtureRequest, settings: Settings) -> str:
    """Each channel layer in turn; presence is in Redis if the layer is."""
    if request.param in IN_PROCESS:
        layer = {"BACKEND": IN_PROCESS[request.param], "CONFIG": {"capacity": 10_000}}
    else:
        url = request.getfixturevalue("shared_redis").url
        layer = {"BACKEND": OVER_REDIS[request.param], "CONFIG": {"hosts": [url]}}
        settings.BEAM = settings.BEAM | {"redis_url": url}
    settings.CHANNEL_LAYERS = {"default": layer}
    return str(request.param)


@pytest.fixture
async def running_hub() -> AsyncIterator[Hub]:
    """This loop's hub, started; its runtime does not use the database."""
    runtime.put(Runtime(IdleUpkeep()))
    mine = hub()
    await mine.start()
    yield mine
    await runtime().stop()
    flush = getattr(get_channel_layer(), "flush", None)
    if flush is not None:
        await flush()
    await redis.close()


@pytest.fixture(autouse=True)
def lines_of_other_tests() -> None:
    """Log lines of other tests must not count as repeated lines of this one."""
    log_summary.flush()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`clock(seconds)` advances `time.monotonic`."""
    passed = 0.0
    real = time.monotonic

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "monotonic", lambda: real() + passed)
    return advance


def pytest_make_parametrize_id(val: object) -> str | None:
    """Write names with half a surrogate pair in ASCII: workers send them as UTF-8."""
    if isinstance(val, str):
        try:
            val.encode()
        except UnicodeEncodeError:
            return ascii(val)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run journeys first: a long file at the end would leave the other worker idle."""
    items.sort(key=lambda item: "journeys" not in item.path.parts)


@pytest.fixture
def fresh_keyring() -> None:
    """No key is cached from other tests, which may have changed the clock."""
    api_keys.keyring.clear()
    authentication._rate_limits().clear()
