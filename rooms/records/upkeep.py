"""Reads and writes the database at intervals.

Every second it writes rows of new rooms. Every minute it reads the settings of single
rooms and writes last uses of API keys. Every hour it deletes unused rows. What waits
when the process stops is written then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from beam import redis
from beam.loops import not_cancelled
from rooms.auth.api_keys import keyring
from rooms.messaging.hub import hub
from rooms.protocol.identifiers import room_topic
from rooms.records import cleanup, closed_rooms, room_overrides
from rooms.records.room_rows import room_rows

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
# How many runs of `write` one minute has.
SLOW_RUNS: Final = 60
CLEANUP_SECONDS: Final = 3_600.0
FIRST_CLEANUP_SECONDS: Final = 120.0


class Upkeep:
    """The periodic work of one event loop on the database."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._runs = 0
        # Random: not all processes at once, and not at every restart.
        pause = FIRST_CLEANUP_SECONDS * random.uniform(1.0, 3.0)  # noqa: S311
        self._cleanup_at = self._loop.time() + pause

    def start(self) -> None:
        """Start the tasks. Idempotent."""
        if not self._tasks:
            self._tasks = [
                self._loop.create_task(self._repeat(self.write)),
                self._loop.create_task(self._repeat(self.clean_up)),
            ]

    async def stop(self) -> None:
        """Stop the tasks, and write what waits. Does nothing if it was not started."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await room_rows.write(_has_members)
        await keyring.write_last_uses()

    async def close_rooms(self) -> bool:
        """See `closed_rooms.close_again`."""
        return await closed_rooms.close_again()

    async def overrides_changed(self, changes: dict[str, Any]) -> None:
        """See `room_overrides.apply_change`."""
        await room_overrides.apply_change(changes)

    async def write(self) -> None:
        """Write rows that are due; once a minute, read settings and write last uses."""
        if self._runs % SLOW_RUNS == 0:
            await room_overrides.load()
            await keyring.write_last_uses()
        self._runs += 1
        await room_rows.write(_has_members)

    async def clean_up(self) -> None:
        """Delete unused rows, once an hour."""
        if self._loop.time() >= self._cleanup_at:
            self._cleanup_at = self._loop.time() + CLEANUP_SECONDS
            await cleanup.run()

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while not_cancelled():
            try:
                await work()
            except redis.Unavailable as error:
                # The link logs an outage in one line.
                logger.debug("Waiting for Redis: %r", error)
            except Exception:
                logger.exception("Upkeep of the database failed; it is tried again")
            await asyncio.sleep(SECONDS)


def _has_members(room_id: str) -> bool:
    return hub().has_members(room_topic(room_id))
