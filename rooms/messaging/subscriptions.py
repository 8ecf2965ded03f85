"""Owns the subscriptions of one process: which groups its mailbox is in.

The mailbox is added to the group of a topic with the first local member of the
topic, and discarded with the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import Any

from beam import redis
from rooms.messaging.control_topic import CONTROL_TOPIC


def group_name(topic: str) -> str:
    """The group of a topic on the channel layer: `[a-z0-9.]{38}` for any text."""
    return "topic." + blake2b(topic.encode(), digest_size=16).hexdigest()


class Subscriptions:
    """Subscribes to the topics that are wanted, and to no others."""

    def __init__(self, layer: Any, wanted: Container[str]) -> None:
        """`wanted`: the topics that have members here; never changed by this class."""
        self._layer = layer
        self._wanted = wanted
        self._loop = asyncio.get_running_loop()
        self._mailbox: str | None = None
        self._subscribed: set[str] = set()
        # Topics whose subscription is being changed.
        self._changing: dict[str, asyncio.Task[None]] = {}

    async def move_to(self, mailbox: str) -> None:
        """Subscribe a new mailbox to the control topic and to what the old one had.

        Raises what the channel layer raises if it is unavailable.
        """
        self._mailbox = mailbox
        for topic in (CONTROL_TOPIC, *self._subscribed):
            await self._layer.group_add(group_name(topic), mailbox)

    def has(self, topic: str) -> bool:
        """Whether a topic is subscribed, and its subscription is not being changed."""
        return topic in self._subscribed and topic not in self._changing

    def change(self, topic: str) -> asyncio.Task[None]:
        """Subscribe to a topic, or unsubscribe if it is no longer wanted.

        One change at a time for each topic. The task raises
        `beam.redis.Unavailable`.
        """
        task = self._changing.get(topic)
        # A task that is done does not see later changes.
        if task is None or task.done():
            task = self._changing[topic] = self._loop.create_task(self._agree(topic))
            task.add_done_callback(partial(self._changed, topic))
        return task

    async def finish(self) -> None:
        """Wait until no subscription is being changed."""
        while self._changing:
            changes = self._changing.values()
            await asyncio.gather(*changes, return_exceptions=True)

    def _changed(self, topic: str, task: asyncio.Task[None]) -> None:
        if self._changing.get(topic) is task:
            del self._changing[topic]
        # A join gets the error itself. An unsubscribe that failed needs no retry: the
        # subscription ends with the connection of the layer.
        if not task.cancelled():
            task.exception()

    async def _agree(self, topic: str) -> None:
        group = group_name(topic)
        while (topic in self._wanted) != (topic in self._subscribed):
            if topic in self._wanted:
                try:
                    # Layers of other libraries raise what redis-py raises.
                    with redis.translated():
                        await self._layer.group_add(group, self._mailbox)
                except BaseException:
                    with suppress(Exception):
                        await self._layer.group_discard(group, self._mailbox)
                    raise
                self._subscribed.add(topic)
            else:
                self._subscribed.discard(topic)
                await self._layer.group_discard(group, self._mailbox)
