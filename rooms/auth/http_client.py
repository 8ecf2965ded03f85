"""Sends requests to other services, with limits of time, size and redirects."""

from __future__ import annotations

import asyncio
from codecs import BOM_UTF8
from typing import Any, Final

import httpx
import orjson

from rooms.auth.failure_texts import BadAnswer

MAX_BYTES: Final = 1_048_576
"""The largest answer."""

MAX_REDIRECTS: Final = 5


async def send(
    client: httpx.AsyncClient, request: httpx.Request, seconds: float
) -> bytes:
    """The body of a successful answer. `seconds`: how long it may take.

    Redirects are not followed: the request may contain a secret. Raises `BadAnswer`,
    `httpx.HTTPError` and `TimeoutError`.
    """
    async with asyncio.timeout(seconds):
        answer, body = await _stream(client, request)
    if answer.next_request is not None:
        url = answer.next_request.url
        raise BadAnswer(f"it redirects to {url.scheme}://{url.host}")
    answer.raise_for_status()
    return body


async def fetch(client: httpx.AsyncClient, url: str, seconds: float) -> bytes:
    """The body at a URL. Redirects are followed, at most `MAX_REDIRECTS`.

    A redirect from https to http is not followed. Raises the errors of `send`.
    """
    async with asyncio.timeout(seconds):
        request = client.build_request("GET", url)
        for _ in range(MAX_REDIRECTS + 1):
            answer, body = await _stream(client, request)
            if answer.next_request is None:
                answer.raise_for_status()
                return body
            request = answer.next_request
            if is_downgrade(answer.url, request.url):
                raise BadAnswer("it redirects from https to http")
    raise BadAnswer(f"it redirects more than {MAX_REDIRECTS} times")


def is_downgrade(old: httpx.URL, new: httpx.URL) -> bool:
    """Whether a redirect drops encryption."""
    return old.scheme == "https" and new.scheme != "https"


def json_of(body: bytes) -> Any:
    """The JSON of an answer. Raises `BadAnswer`."""
    try:
        return orjson.loads(body.removeprefix(BOM_UTF8))
    except ValueError:
        raise BadAnswer("its answer is not JSON") from None


async def _stream(
    client: httpx.AsyncClient, request: httpx.Request
) -> tuple[httpx.Response, bytes]:
    answer = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise BadAnswer(f"its answer is larger than {MAX_BYTES:,} bytes")
        return answer, bytes(body)
    finally:
        await answer.aclose()
