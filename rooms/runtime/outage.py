"""Waits for the end of an outage: probes Redis until it accepts writes."""

from __future__ import annotations

import asyncio
import math
import random

from beam import redis
from beam.config.conf import conf

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
# If an outage begins so soon after the last one, the first probe waits.
FLAPPING_SECONDS = 10.0


class Outage:
    """The outages of Redis, as one event loop sees them."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = -math.inf

    async def wait_for_end(self) -> None:
        """Probe until Redis accepts writes, at growing, random intervals."""
        delay, longest = FIRST_DELAY, min(LONGEST_DELAY, conf().lease_renew)
        if self._loop.time() - self._ended < FLAPPING_SECONDS:
            await asyncio.sleep(longest)
        while not await _serves():
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, longest)
        redis.link().answered()
        self._ended = self._loop.time()


async def _serves() -> bool:
    """Whether Redis accepts writes, over a new connection.

    If it had become a replica, all connections are made again.
    """
    if redis.link().moved:
        await redis.reconnect()
    else:
        await redis.drop_idle()
    return await redis.batch().probe()
