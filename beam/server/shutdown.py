"""What runs at SIGTERM and SIGINT: the drain of one server process, in order.

1. New joins are refused, and `/readyz` reports it.
2. The server stops listening.
3. All connections are closed with 1012, in batches.
4. The runtime stops its parts, and releases the lease.
5. The connections to Redis are closed, and the process ends.

With `--processes`, `beam.server.supervisor` sends SIGTERM to each process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from beam import redis
from beam.config.conf import conf
from rooms.messaging.connections import Closeable, connections
from rooms.messaging.observers import observers
from rooms.protocol.close_codes import Close
from rooms.runtime import runtime

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 0.5


class Stoppable(Protocol):
    """The part of the server that a shutdown needs. `connections`: daphne's."""

    connections: dict[Any, dict[str, Any]]

    async def stop_listening(self) -> None:
        """Accept no more connections."""

    def stop(self) -> None:
        """End the process."""


class Shutdown:
    """Ends a server, once."""

    def __init__(self, server: Stoppable, close_seconds: float) -> None:
        """`close_seconds`: of a close handshake."""
        self._server = server
        self._close_seconds = close_seconds
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Drain and stop the server, in a task. Idempotent."""
        if self._task is None:
            self._task = asyncio.get_event_loop().create_task(self._run())

    async def _run(self) -> None:
        """Takes at most `drain_seconds`, twice `close_seconds`, and 1 s."""
        connections().drain()
        everyone = [*connections().everyone(), *observers().everyone()]
        logger.info("Stopping: %d connections to close", len(everyone))
        try:
            await self._server.stop_listening()
            await close_all(everyone)
            limit = self._close_seconds
            await _in_time(self._all_gone(), limit + 1, "Some connections")
            # It waits for Redis and the database.
            await _in_time(runtime().stop(), limit, "Some tasks")
        finally:
            await redis.close()
            self._server.stop()

    async def _all_gone(self) -> None:
        # daphne records times and has no event to wait for.
        known = self._server.connections
        while any("disconnected" not in one for one in known.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


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


async def _in_time(work: Coroutine[Any, Any, None], seconds: float, what: str) -> None:
    """Wait for a step of the drain up to a limit: the next step must run too.

    `what`: what the step waits for, for the log.
    """
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        logger.warning("%s did not end in time", what)
