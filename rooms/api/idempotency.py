"""Owns that a request which is sent again is done once.

The header `Idempotency-Key` names a request of a caller for five minutes: the
same body gets the same answer, another body 422. Kept in Redis, or in process
without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

import orjson
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from beam import redis
from beam.config.conf import conf
from rooms.api.errors import KeyReused
from rooms.auth.api_keys import Caller
from rooms.messaging import publisher

HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 255
SECONDS: Final = 300
MAX_BYTES: Final = 67_108_864
# Longer than any request takes: who died in the middle holds up no longer.
CLAIM_SECONDS: Final = 15
# How long a second request waits for the answer to the first.
WAIT_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.05

Produce = Callable[[Request], Awaitable[Response]]


async def once(request: Request, caller: Caller, produce: Produce) -> Response:
    """The answer; produced only where the same request was not answered before.

    Raises `ValidationError`, `KeyReused`, `publisher.Unavailable`. What fails is not
    kept: it may be tried again.
    """
    if (key := request.headers.get(HEADER)) is None:
        return await produce(request)
    if not 0 < len(key) <= MAX_KEY:
        message = f"1 to {MAX_KEY} characters"
        raise exceptions.ValidationError({HEADER: [message]})
    name = _digest(f"{caller.name}\n{request.path}\n{key}".encode())
    body = _digest(request.body)
    if (kept := await _claim(name, body)) is not None:
        return Response(*kept)
    try:
        response = await produce(request)
    except BaseException:
        await _store().drop(name)
        raise
    # It is done, whether that can be kept or not.
    with suppress(redis.RedisError, OSError):
        text = orjson.dumps({"body": body, "answer": [response.data]})
        await _store().put(name, text)
    return response


async def _claim(name: str, body: str) -> list[Any] | None:
    """The answer that is kept, in a list; None: this request is to be done now."""
    claim = orjson.dumps({"body": body})
    deadline = time.monotonic() + WAIT_SECONDS
    while not await _store().add(name, claim):
        text = await _store().get(name)
        if text is None:
            continue
        found = orjson.loads(text)
        if found["body"] != body:
            raise KeyReused
        if "answer" in found:
            answer: list[Any] = found["answer"]
            return answer
        if time.monotonic() > deadline:
            raise publisher.Unavailable
        await asyncio.sleep(LOOK_SECONDS)
    return None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


class _Shared:
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


class _Local:
    """In this process, bounded by bytes: the oldest go first."""

    def __init__(self) -> None:
        # In the order in which they were put; claims end sooner than answers.
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    async def add(self, name: str, text: bytes) -> bool:
        """See `_Shared`."""
        if await self.get(name) is not None:
            return False
        self._keep(name, text, CLAIM_SECONDS)
        return True

    async def get(self, name: str) -> bytes | None:
        """See `_Shared`."""
        until, text = self._kept.get(name, (0.0, b""))
        return text if time.monotonic() < until else None

    async def put(self, name: str, text: bytes) -> None:
        """See `_Shared`."""
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
        """See `_Shared`."""
        self._forget(name)


def _weight(name: str, text: bytes) -> int:
    """Bytes that an entry takes, about."""
    return len(name) + len(text) + 300


_SHARED, _LOCAL = _Shared(), _Local()


def _store() -> _Shared | _Local:
    return _SHARED if conf().redis_url else _LOCAL
