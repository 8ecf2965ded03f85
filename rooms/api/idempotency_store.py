"""Stores answers by idempotency key: in Redis, or in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from beam import redis
from beam.config.conf import conf

SECONDS: Final = 300
MAX_BYTES: Final = 67_108_864
# Longer than any request takes: the claim of a process that died ends then.
CLAIM_SECONDS: Final = 15


class RedisStore:
    """Stores texts in Redis."""

    @staticmethod
    def _key(name: str) -> str:
        return f"{conf().redis_prefix}:once:{name}"

    async def add(self, name: str, text: bytes) -> bool:
        """Store a text if none is stored under the name; whether it was."""
        command = ("SET", self._key(name), text, "NX", "EX", CLAIM_SECONDS)
        return await redis.batch().call(*command) is not None

    async def get(self, name: str) -> bytes | None:
        """The stored text, or None."""
        found: bytes | None = await redis.batch().call("GET", self._key(name))
        return found

    async def put(self, name: str, text: bytes) -> None:
        """Store a text, in place of the one before."""
        await redis.batch().call("SET", self._key(name), text, "EX", SECONDS)

    async def drop(self, name: str) -> None:
        """Delete the text. If Redis is unavailable, the text expires."""
        redis.batch().send("DEL", self._key(name))


class LocalStore:
    """Stores texts in this process, up to `MAX_BYTES`: the oldest are dropped."""

    def __init__(self) -> None:
        # In the order in which they were stored; claims expire before answers.
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    async def add(self, name: str, text: bytes) -> bool:
        """See `RedisStore`."""
        if await self.get(name) is not None:
            return False
        self._keep(name, text, CLAIM_SECONDS)
        return True

    async def get(self, name: str) -> bytes | None:
        """See `RedisStore`."""
        until, text = self._kept.get(name, (0.0, b""))
        return text if time.monotonic() < until else None

    async def put(self, name: str, text: bytes) -> None:
        """See `RedisStore`."""
        self._keep(name, text, SECONDS)

    def _keep(self, name: str, text: bytes, seconds: float) -> None:
        self._forget(name)
        now = time.monotonic()
        self._kept[name] = now + seconds, text
        self._bytes += _weight(name, text)
        while self._bytes > MAX_BYTES or next(iter(self._kept.values()))[0] < now:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: str) -> None:
        if (found := self._kept.pop(name, None)) is not None:
            self._bytes -= _weight(name, found[1])

    async def drop(self, name: str) -> None:
        """See `RedisStore`."""
        self._forget(name)


def _weight(name: str, text: bytes) -> int:
    """The bytes that an entry takes, approximately."""
    return len(name) + len(text) + 300


_REDIS, _LOCAL = RedisStore(), LocalStore()


def store() -> RedisStore | LocalStore:
    return _REDIS if conf().redis_url else _LOCAL
