"""Owns the Redis clients: one per event loop."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.exceptions import RedisError

from beam.conf import conf

__all__ = ["Redis", "RedisError", "client", "close"]

_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()


def client() -> Redis:
    """The running loop's client for `REDIS_URL`. Connects on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = Redis.from_url(
            conf().redis_url,
            socket_timeout=2,
            socket_connect_timeout=2,
            health_check_interval=30,
        )
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client, if there is one."""
    if (redis := _clients.pop(asyncio.get_running_loop(), None)) is not None:
        await redis.aclose()
