"""Owns the redis-py clients, one per event loop, and closes their connections."""

from __future__ import annotations

from contextlib import suppress
from weakref import WeakSet

from redis.asyncio import Redis

from beam.config import redis_url
from beam.config.conf import conf
from beam.loops import per_loop
from beam.redis.exceptions import LIBRARY_ERRORS
from beam.redis.link import link


@per_loop
def client() -> Redis:
    """The client of the running loop for `REDIS_URL`. Connects on first use."""
    return connect(conf().redis_url)


@per_loop
def _opened() -> WeakSet[Redis]:
    """All clients that were created in the running loop."""
    return WeakSet()


def connect(url: str) -> Redis:
    """Create a client. Raises `redis_url.BadUrl`."""
    client = redis_url.connect(url, conf().redis_timeout)
    with suppress(RuntimeError):  # no loop is running
        _opened().add(client)
    return client


async def reconnect() -> None:
    """Close all connections of the running loop, subscriptions too.

    The next calls resolve the address again.
    """
    link().generation += 1
    await _disconnect(in_use=True)
    # For calls that began during the closing, too.
    link().generation += 1


async def drop_idle() -> None:
    """Close the idle connections of the running loop.

    After an outage they may be dead, and the next call on them would fail.
    """
    await _disconnect(in_use=False)


async def _disconnect(*, in_use: bool) -> None:
    for client in [*_opened()]:
        with suppress(*LIBRARY_ERRORS):
            await client.connection_pool.disconnect(inuse_connections=in_use)
