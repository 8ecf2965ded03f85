"""Closes the connections of a process that stops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from beam.config.conf import conf
from rooms.messaging.connections import Closeable
from rooms.protocol.close_codes import Close

LONGEST_PAUSE = 0.5


async def close_all(connections: Sequence[Closeable]) -> None:
    """Close connections with 1012, in random order and in batches of `drain_batch`.

    The pauses between batches fit into `drain_seconds`, and are at most 0.5 s:
    clients must not all reconnect at the same time.
    """
    everyone, size = list(connections), conf().drain_batch
    random.shuffle(everyone)
    batches = [everyone[at : at + size] for at in range(0, len(everyone), size)]
    pause = min(LONGEST_PAUSE, conf().drain_seconds / max(1, len(batches)))
    for batch in batches:
        for connection in batch:
            connection.close(Close.RESTART)
        if batch is not batches[-1]:
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
