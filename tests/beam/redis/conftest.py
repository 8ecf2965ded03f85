"""Connections of the running loop to Redis, also through a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import get_channel_layer
from pytest_django.fixtures import Settings

from beam import redis
from beam.telemetry import metrics
from rooms.messaging.hub import Hub, hub
from tests.fakes import FakeMember
from tests.processes import RedisServer
from tests.proxy import Proxy, proxy_to


@pytest.fixture
async def shard(backend: str, running_hub: Hub) -> Any:
    """The running loop's connection to Redis."""
    layer: Any = get_channel_layer()
    [shard] = layer.loop_layer()._shards
    return shard


TIMEOUT = 0.5


@pytest.fixture
async def proxy(
    backend: str, shared_redis: RedisServer, settings: Settings
) -> AsyncIterator[Proxy]:
    """A proxy between this process and Redis that can freeze connections."""
    async with proxy_to(shared_redis.port) as proxy:
        settings.BEAM = settings.BEAM | {
            "redis_url": proxy.url,
            "redis_timeout": TIMEOUT,
        }
        layer = settings.CHANNEL_LAYERS["default"] | {"CONFIG": {"hosts": [proxy.url]}}
        settings.CHANNEL_LAYERS = {"default": layer}
        yield proxy


@pytest.fixture
async def behind(proxy: Proxy, shard: Any) -> Any:
    """The connection of the loop through the proxy: proved, with one member."""
    shard.gaps = 0

    def note() -> None:
        shard.gaps += 1

    shard.channel_layer.add_gap_listener(note)
    shard.member = FakeMember("t")
    await hub().attach(shard.member)
    await shard.subscription_check.verify()
    return shard


@pytest.fixture
def renewed() -> Any:
    """`renewed()`: how many subscriptions this test replaced, by reason."""
    before = dict(metrics.SUBSCRIPTIONS_RENEWED.reasons)
    return lambda: {
        reason: count - before[reason]
        for reason, count in metrics.SUBSCRIPTIONS_RENEWED.reasons.items()
        if count != before[reason]
    }


@pytest.fixture
async def link(
    shared_redis: RedisServer, settings: Settings
) -> AsyncIterator[redis.Link]:
    """The link of the running loop."""
    settings.BEAM = settings.BEAM | {"redis_url": shared_redis.url}
    yield redis.link()
    await redis.close()
