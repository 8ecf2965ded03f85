"""Checks that Redis can be reached: when a server starts, and for commands.

A running server survives an outage of Redis; one that starts without it is probably
misconfigured.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from redis.exceptions import AuthenticationError, InvalidResponse

from beam import redis
from beam.config import redis_url
from beam.config.conf import conf
from beam.redis.exceptions import LIBRARY_ERRORS, Unreachable

logger = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 0.25


async def reach(seconds: float = 0.0) -> None:
    """Wait for an answer of Redis, at most `seconds`. Raises `Unreachable`."""
    deadline = time.monotonic() + seconds
    while (error := await _fault()) is not None:
        if time.monotonic() > deadline or isinstance(error, AuthenticationError):
            raise Unreachable(_message(error)) from None
        await asyncio.sleep(PAUSE_SECONDS)


def announce() -> None:
    """Log which Redis is used, if any, and the name of the deployment.

    Not the user or password. To be called once the server listens: if the start
    fails, the error is the only line.
    """
    url, name = conf().redis_url, conf().redis_prefix
    if not url:
        return
    logger.info(
        "Redis: %s, database %d; name of this deployment (redis_prefix): %s",
        *(redis_url.place(url), redis_url.database(url), name),
    )


async def _fault() -> Exception | None:
    """Why Redis does not answer; None if it does."""
    client = redis.connect(conf().redis_url)
    try:
        async with asyncio.timeout(conf().redis_timeout):
            await client.ping()
    except LIBRARY_ERRORS as error:
        return error
    finally:
        await client.aclose()
    return None


def _message(error: Exception) -> str:
    where = redis_url.place(conf().redis_url)
    if isinstance(error, AuthenticationError):
        return (
            f"Redis at {where} refuses the user or password in REDIS_URL: correct it."
        )
    if isinstance(error, InvalidResponse):
        return f"The server at {where} is not Redis: correct REDIS_URL."
    reason = redis.described(error).rstrip(".")
    return (
        f"Redis at {where} cannot be reached: {reason}. Start Redis, or correct "
        "REDIS_URL."
    )
