"""Closes rooms again that the database lists as closed.

The tracker refuses the joins, in memory or in Redis, and may lose its data. It is
restored when a process starts, and when Redis no longer knows this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rooms.runtime.waiting import wait_for

# How long a join waits for the list of closed rooms.
JOIN_SECONDS = 2.0
# The time from a failure of the database to the next query.
RETRY_SECONDS = 5.0


class RoomCloser:
    """Decides when closed rooms are closed again."""

    def __init__(
        self, close: Callable[[], Awaitable[bool]], retry: Callable[[], None]
    ) -> None:
        """`close`: closes them; False if the database is unavailable.

        `retry`: called some seconds after such a failure, to have `apply` or
        `after_renewal` called again.
        """
        self._close = close
        self._retry = retry
        self._loop = asyncio.get_running_loop()
        self._known = asyncio.Event()
        # Whether the tracker may have lost closed rooms.
        self._is_due = True
        self._timer: asyncio.TimerHandle | None = None

    async def known(self) -> None:
        """Wait until rooms were closed for the first time, at most 2 s."""
        if not self._known.is_set():
            await wait_for(self._known, JOIN_SECONDS)

    async def apply(self) -> None:
        """Close the rooms; if the database is unavailable, try again later.

        Raises `beam.redis.Unavailable`.
        """
        if not await self._close():
            self._timer = self._loop.call_later(RETRY_SECONDS, self._on_retry)
        self._known.set()

    async def after_renewal(self, renewal: Awaitable[bool]) -> None:
        """Close the rooms if Redis did not know this process, or if it is due.

        `renewal`: whether Redis knew it. If it raises, Redis may have lost its data
        too: the next call closes the rooms. Raises as `apply` does.
        """
        is_due, self._is_due = self._is_due, True
        is_known = await renewal
        if is_due or not is_known:
            await self.apply()
        self._is_due = False
        self._known.set()

    def stop(self) -> None:
        """Cancel a retry."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_retry(self) -> None:
        self._is_due = True
        self._retry()
