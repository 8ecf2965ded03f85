"""Owns the Redis clients, one per event loop, and how scripts are called on them.

Calls of one turn of the loop leave in one pipeline: a storm of joins needs one
connection, not one for each join.
"""

from __future__ import annotations

import asyncio
from hashlib import sha1
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from beam.conf import conf

__all__ = ["Batch", "Redis", "RedisError", "Script", "client", "close"]

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


Command = tuple[Any, ...]


class Batch:
    """Sends what is asked for in one turn of the loop as one pipeline."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """One command's answer. Raises `RedisError` or `OSError`."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((command, answer))
        if self._sender is None:
            self._sender = self._loop.create_task(self._send())
        return await answer

    async def load(self, text: str) -> None:
        """Have Redis know a script."""
        await self._redis.script_load(text)

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._send_batch(batch)
        finally:
            self._sender = None

    async def _send_batch(
        self, batch: list[tuple[Command, asyncio.Future[Any]]]
    ) -> None:
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for command, _ in batch:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            answers = [error] * len(batch)
        for (_, answer), result in zip(batch, answers, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)


class Script:
    """A Lua script, called by its hash; Redis is told the text where it asks."""

    def __init__(self, batch: Batch, text: str) -> None:
        self._batch = batch
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: tuple[str, ...], args: list[Any]) -> Any:
        """The script's answer. Raises `RedisError` or `OSError`."""
        command = ("EVALSHA", self._sha, len(keys), *keys, *args)
        try:
            return await self._batch.call(*command)
        except NoScriptError:
            await self._batch.load(self._text)
            return await self._batch.call(*command)
