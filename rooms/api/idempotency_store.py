"""Stores the answers of requests that have an idempotency key: in Redis, or here."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from beam import redis
from beam.config.conf import conf

SECONDS: Final = 300
MAX_BYTES: Final = 67_108_864
# Longer than any request takes: who died in the middle holds up no longer.
CLAIM_SECONDS: Final = 15


class RedisStore:
    """In Redis."""

    @staticmethod
    def _key(name: str) -> str:
        return f"{conf().redis_prefix}:once:{name}"

    async def add(self, name: str, text: bytes) -> bool:
        """Keep a text where none is kept; whether it was."""
        command = ("SET", self._key(name), text, "NX", "EX", CLAIM_SECONDS)
        return await redis.batch().call(*command) is not None

    async def get(self, name: str) -> bytes | None:
        """What is kept."""
        found: bytes | None = await redis.batch().call("GET", self._key(name))
        return found

    async def put(self, name: str, text: bytes) -> None:
        """Keep another text."""
        await redis.batch().call("SET", self._key(name), text, "EX", SECONDS)

    async def drop(self, name: str) -> None:
        """Keep nothing. Redis may be away: then it runs out."""
        redis.batch().tell("DEL", self._key(name))


class LocalStore:
    """In this process, bounded by bytes: the oldest go first."""

    def __init__(self) -> None:
        # In the order in which they were put; claims end sooner than answers.
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
    """Bytes that an entry takes, about."""
    return len(name) + len(text) + 300


_REDIS, _LOCAL = RedisStore(), LocalStore()


def store() -> RedisStore | LocalStore:
    return _REDIS if conf().redis_url else _LOCAL
