"""Handles a repeated request once.

The header `Idempotency-Key` names a request of a caller for five minutes: the
same body gets the same answer, another body gets 422. Answers are stored in
Redis; without Redis in this process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final

import orjson
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from beam import redis
from rooms.api.errors import KeyReused
from rooms.api.idempotency_store import store
from rooms.auth.api_keys import Caller

HEADER: Final = "Idempotency-Key"
MAX_KEY: Final = 255
# How long a repeated request waits for the answer to the first one.
WAIT_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.05

Handler = Callable[[Request], Awaitable[Response]]


async def run_once(request: Request, caller: Caller, handler: Handler) -> Response:
    """The answer to a request; the handler runs if it was not answered before.

    Raises `ValidationError`, `KeyReused`, `beam.redis.Unavailable`. Failures
    are not stored: the request can be repeated.
    """
    if (key := request.headers.get(HEADER)) is None:
        return await handler(request)
    if not 0 < len(key) <= MAX_KEY:
        message = f"must have 1 to {MAX_KEY} characters"
        raise exceptions.ValidationError({HEADER: [message]})
    name = _digest(f"{caller.name}\n{request.path}\n{key}".encode())
    body = _digest(request.body)
    if (kept := await _claim(name, body)) is not None:
        return Response(*kept)
    try:
        response = await handler(request)
    except BaseException:
        await store().drop(name)
        raise
    # The request was handled, even if its answer cannot be stored.
    with suppress(redis.Unavailable):
        text = orjson.dumps({"body": body, "answer": [response.data]})
        await store().put(name, text)
    return response


async def _claim(name: str, body: str) -> list[Any] | None:
    """The stored data of the answer, in a list; None: handle the request now."""
    claim = orjson.dumps({"body": body})
    deadline = time.monotonic() + WAIT_SECONDS
    while not await store().add(name, claim):
        text = await store().get(name)
        if text is None:
            continue
        found = orjson.loads(text)
        if found["body"] != body:
            raise KeyReused
        if "answer" in found:
            answer: list[Any] = found["answer"]
            return answer
        if time.monotonic() > deadline:
            raise redis.Unavailable("the first request has no answer yet")
        await asyncio.sleep(POLL_SECONDS)
    return None


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
