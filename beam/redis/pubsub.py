"""The subscribed connection: redis-py's, which reports that it was made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection


class Subscription(PubSub):
    """Tells when it had to subscribe anew: messages may have been missed."""

    def __init__(self, pool: Any, on_gap: Callable[[], None]) -> None:
        super().__init__(pool)
        self._on_gap = on_gap

    def forget(self, channel: str) -> None:
        """Do not subscribe to a channel with the next connection."""
        self.pending_unsubscribe_channels.add(self.encoder.encode(channel))

    async def on_connect(self, connection: Connection) -> None:
        """Subscribe to what was subscribed to, and is still wanted."""
        for channel in self.pending_unsubscribe_channels:
            self.channels.pop(channel, None)
        again = bool(self.channels)
        await super().on_connect(connection)
        if again:
            self._on_gap()
