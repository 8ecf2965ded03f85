"""Checks with a script whether Redis accepts writes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from beam.config import redis_url
from beam.config.conf import conf
from beam.redis.exceptions import LIBRARY_ERRORS
from beam.redis.link import Link

PROBE: Final = (Path(__file__).parent / "lua" / "probe.lua").read_text()
KINDS: Final = ("hash", "string", "sorted")


async def probe(redis: Redis, link: Link) -> bool:
    """Whether Redis accepts writes. Also sent during an outage.

    A failure is reported to the link. A success is not: the caller decides when an
    outage is over.
    """
    stem = f"{conf().redis_prefix}:{{probe}}"
    keys = [f"{stem}:{kind}" for kind in KINDS]
    names = redis_url.channel_prefix(conf().redis_prefix, conf().redis_url)
    generation = link.generation
    try:
        async with asyncio.timeout(conf().redis_timeout):
            await redis.eval(PROBE, len(keys), *keys, f"{names}probe")
    except LIBRARY_ERRORS as error:
        link.failed(error, probed=True, generation=generation)
        return False
    return True
