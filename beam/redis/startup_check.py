"""Asks whether Redis can be reached, before anything relies on it.

For a server that starts and for commands: neither should run into a Redis that is
not there. What a running server does without Redis is another matter.
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
    """Wait for Redis to answer, for so long at most. Raises `Unreachable`."""
    deadline = time.monotonic() + seconds
    while (error := await _fault()) is not None:
        if time.monotonic() > deadline or isinstance(error, AuthenticationError):
            raise Unreachable(_told(error)) from None
        await asyncio.sleep(PAUSE_SECONDS)


def announce() -> None:
    """Log which Redis is used, if any, and as which deployment.

    Names no user or password. For a server that listens: one that cannot start
    writes the line that says why, and no other.
    """
    url, name = conf().redis_url, conf().redis_prefix
    if not url:
        return
    logger.info(
        "Redis: %s, database %d; name of this deployment (redis_prefix): %s",
        *(redis_url.place(url), redis_url.database(url), name),
    )


async def _fault() -> Exception | None:
    """Why Redis does not answer; None where it does."""
    client = redis.connect(conf().redis_url)
    try:
        async with asyncio.timeout(conf().redis_timeout):
            await client.ping()
    except LIBRARY_ERRORS as error:
        return error
    finally:
        await client.aclose()
    return None


def _told(error: Exception) -> str:
    where = redis_url.place(conf().redis_url)
    if isinstance(error, AuthenticationError):
        return (
            f"Redis at {where} refuses the user or password of REDIS_URL: correct it."
        )
    if isinstance(error, InvalidResponse):
        return f"What answers at {where} is not Redis: correct REDIS_URL."
    reason = redis.described(error).rstrip(".")
    return (
        f"Redis at {where} cannot be reached: {reason}. Start Redis, or correct "
        "REDIS_URL."
    )
