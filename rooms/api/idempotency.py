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
from hashlib import sha256
from typing import Any, Final

import orjson
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from beam import redis
from beam.conf import conf
from rooms import relay
from rooms.api.errors import KeyReused
from rooms.keys import Caller

HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 255
SECONDS: Final = 300
MAX_KEPT: Final = 10_000
# How long a second request waits for the answer to the first.
WAIT_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.05

Produce = Callable[[Request], Awaitable[Response]]


async def once(request: Request, caller: Caller, produce: Produce) -> Response:
    """The answer; produced only where the same request was not answered before.

    Raises `ValidationError`, `KeyReused`, `relay.Unavailable`. What fails is not
    kept: it may be tried again.
    """
    if (key := request.headers.get(HEADER)) is None:
        return await produce(request)
    if not 0 < len(key) <= MAX_KEY:
        message = f"1 to {MAX_KEY} characters"
        raise exceptions.ValidationError({HEADER: [message]})
    name = _digest(f"{caller.name}\n{request.path}\n{key}".encode())
    body = _digest(request._request.body)
    kept = await _claim(name, body)
    if kept is not None:
        return Response(kept)
    try:
        response = await produce(request)
    except BaseException:
        await _store().drop(name)
        raise
    await _store().put(name, orjson.dumps({"body": body, "answer": [response.data]}))
    return response


async def _claim(name: str, body: str) -> Any | None:
    """The answer that is kept; None where this request is to be done now."""
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
            return found["answer"][0]
        if time.monotonic() > deadline:
            raise relay.Unavailable
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
        command = ("SET", self._key(name), text, "NX", "EX", SECONDS)
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
    """In this process; the oldest go first where there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def add(self, name: str, text: bytes) -> bool:
        """See `_Shared`."""
        if await self.get(name) is not None:
            return False
        await self.put(name, text)
        return True

    async def get(self, name: str) -> bytes | None:
        """See `_Shared`."""
        until, text = self._kept.get(name, (0.0, b""))
        return text if time.monotonic() < until else None

    async def put(self, name: str, text: bytes) -> None:
        """See `_Shared`."""
        self._kept[name] = time.monotonic() + SECONDS, text
        self._kept.move_to_end(name)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    async def drop(self, name: str) -> None:
        """See `_Shared`."""
        self._kept.pop(name, None)


_SHARED, _LOCAL = _Shared(), _Local()


def _store() -> _Shared | _Local:
    return _SHARED if conf().redis_url else _LOCAL
