"""Keeps the records of rooms up to date, by time.

Every second rows of new rooms are written; every minute settings of single rooms
are read again and last uses of API keys are written; every hour rows that nobody
needs are deleted. What waits at the stop of the process is written then.
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
from rooms.messaging import publisher
from rooms.messaging.hub import hub
from rooms.protocol.identifiers import room_topic
from rooms.records import cleanup, closed_rooms, room_overrides
from rooms.records.room_rows import room_rows

logger = logging.getLogger(__name__)

SECONDS: Final = 1.0
# Runs of `write` between two of what is done every minute.
SLOW_RUNS: Final = 60
CLEANUP_SECONDS: Final = 3_600.0
FIRST_CLEANUP_SECONDS: Final = 120.0
UNAVAILABLE = (redis.Unavailable, OSError, publisher.NotPublished)


class Upkeep:
    """One event loop's periodic work on the database."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._runs = 0
        # Not all processes at once, nor each of many starts.
        pause = FIRST_CLEANUP_SECONDS * random.uniform(1.0, 3.0)  # noqa: S311
        self._cleanup_at = self._loop.time() + pause

    def start(self) -> None:
        """Begin. Idempotent."""
        if not self._tasks:
            self._tasks = [
                self._loop.create_task(self._repeat(self.write)),
                self._loop.create_task(self._repeat(self.clean_up)),
            ]

    async def stop(self) -> None:
        """Stop, and write what waits. Does nothing if it never began."""
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
        """Write and read what is due."""
        if self._runs % SLOW_RUNS == 0:
            await room_overrides.load()
            await keyring.write_last_uses()
        self._runs += 1
        await room_rows.write(_has_members)

    async def clean_up(self) -> None:
        """Delete rows that nobody needs, once an hour."""
        if self._loop.time() >= self._cleanup_at:
            self._cleanup_at = self._loop.time() + CLEANUP_SECONDS
            await cleanup.run()

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while not_cancelled():
            try:
                await work()
            except UNAVAILABLE as error:
                # The link logs an outage in one line.
                logger.debug("Waiting for Redis: %r", error)
            except Exception:
                logger.exception("Upkeep of the records failed; trying again")
            await asyncio.sleep(SECONDS)


def _has_members(room_id: str) -> bool:
    return hub().has_members(room_topic(room_id))
