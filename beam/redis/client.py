"""Owns the clients of redis-py, one per event loop, and their connections."""

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
    """The running loop's client for `REDIS_URL`. Connects on first use."""
    return connect(conf().redis_url)


@per_loop
def _opened() -> WeakSet[Redis]:
    """The clients that were made in the running loop."""
    return WeakSet()


def connect(url: str) -> Redis:
    """A client of its own. Raises `redis_url.BadUrl`."""
    client = redis_url.connect(url, conf().redis_timeout)
    with suppress(RuntimeError):  # without a loop nothing is kept
        _opened().add(client)
    return client


async def reconnect() -> None:
    """Drop all connections of the running loop, subscriptions too.

    The next calls connect to where the address leads by then.
    """
    link().generation += 1
    await _disconnect(in_use=True)
    # Those that began meanwhile, too.
    link().generation += 1


async def drop_idle() -> None:
    """Drop the running loop's connections that nobody uses just now.

    After an outage they may be dead, which only the next call would find out.
    """
    await _disconnect(in_use=False)


async def _disconnect(*, in_use: bool) -> None:
    for client in [*_opened()]:
        with suppress(*LIBRARY_ERRORS):
            await client.connection_pool.disconnect(inuse_connections=in_use)
