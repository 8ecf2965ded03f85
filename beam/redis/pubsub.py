"""The subscribed connection of redis-py, which reports that it reconnected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection


class Subscription(PubSub):
    """Calls `on_gap` when it had to subscribe again: messages may be lost."""

    def __init__(self, pool: Any, on_gap: Callable[[], None]) -> None:
        super().__init__(pool)
        self._on_gap = on_gap

    def forget(self, channel: str) -> None:
        """Leave a channel out when the next connection subscribes."""
        self.pending_unsubscribe_channels.add(self.encoder.encode(channel))

    async def on_connect(self, connection: Connection) -> None:
        """Subscribe to all channels that are still wanted."""
        for channel in self.pending_unsubscribe_channels:
            self.channels.pop(channel, None)
        again = bool(self.channels)
        await super().on_connect(connection)
        if again:
            self._on_gap()
