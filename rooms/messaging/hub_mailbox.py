"""Owns the mailbox of one process: its one channel on the channel layer.

Beam's own layers call a function with each message. Any other layer is read by a
task, which continues after every failure of the layer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any

from beam.loops import not_cancelled
from beam.redis.message_bundle import unbundle
from beam.telemetry import metrics

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0


class Mailbox:
    """Reads one channel, and calls `deliver` with each message."""

    def __init__(self, layer: Any, deliver: Callable[[dict[str, Any]], None]) -> None:
        self._layer = layer
        self._deliver = deliver
        self._listening = False
        self._reader: asyncio.Task[None] | None = None

    @property
    def is_read(self) -> bool:
        """Whether the channel is being read."""
        reader = self._reader
        return self._listening or (reader is not None and not reader.done())

    def read(self, channel: str) -> None:
        """Read a channel from now on."""
        if hasattr(self._layer, "listen"):
            self._layer.listen(channel, self._deliver)
            self._listening = True
        else:
            loop = asyncio.get_running_loop()
            self._reader = loop.create_task(self._keep_reading(channel))

    async def close(self) -> None:
        """Stop reading."""
        self._listening = False
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _keep_reading(self, channel: str) -> None:
        is_healthy, delay = True, FIRST_DELAY
        while not_cancelled():
            try:
                for message in unbundle(await self._layer.receive(channel)):
                    self._deliver(message)
            except Exception as error:  # noqa: BLE001 - any layer, any error
                metrics.MAILBOX_ERRORS.value += 1
                if is_healthy:
                    # The text of a layer's error may quote a message.
                    logger.error(
                        "Cannot read the hub's mailbox: %s", type(error).__name__
                    )
                is_healthy = False
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
                delay = min(delay * 2, LONGEST_DELAY)
                continue
            if not is_healthy:
                logger.info("The hub's mailbox can be read again")
                is_healthy, delay = True, FIRST_DELAY
