"""Messages that wait for a WebSocket application until it listens."""

from __future__ import annotations

import asyncio
from typing import Any

from beam.server.event_loop import twisted_loop


class ApplicationQueue:
    """Messages that an application has yet to receive.

    An `asyncio.Queue` takes 3,000 bytes of memory.
    """

    __slots__ = ("_messages", "_waiter")

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, message: dict[str, Any]) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> dict[str, Any]:
        """The next message, when there is one. One reader only."""
        while not self._messages:
            self._waiter = twisted_loop.create_future()
            await self._waiter
        self._waiter = None
        return self._messages.pop(0)

    def take(self) -> list[dict[str, Any]]:
        """All messages that are there."""
        taken, self._messages = self._messages, []
        return taken
