"""Owns what waits in a busy channel, and does it in order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.channels.results import Refused
from rooms.messaging.channel_queue import ChannelQueue, Item, Message, Work

if TYPE_CHECKING:
    from rooms.channels.channel import Channel

TURN: Final = 32
"""Messages of one channel in a row before other channels have their turn."""

NO_REF: Final = object()
"""In place of a ref: the work answers no message."""


class ChannelTask:
    """The task of a channel while a handler runs, and what waits behind it.

    It ends when nothing is left to do: an idle channel has no task.
    """

    __slots__ = ("_channel", "_queue", "_task")

    def __init__(self, channel: Channel, pending: Awaitable[None], ref: Any) -> None:
        """`pending`: what the handler of the message `ref` returned."""
        self._channel = channel
        # None while nothing waits: an empty deque takes 700 bytes.
        self._queue: ChannelQueue | None = None
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run(pending, ref))

    def has_room(self, size: int) -> bool:
        """Whether an intercepted event of so many bytes may wait.

        It always may if nothing else waits.
        """
        if not self._queue:
            return True
        return self._queue.outbound + size <= conf().outbound_limit

    def put(self, item: Item) -> None:
        """Let an item wait behind the others; a stopped channel drops it."""
        if self._channel.stopped:
            return
        if self._queue is None:
            self._queue = ChannelQueue()
        self._queue.put(item)
        if item.is_inbound:
            self._channel.owner.add_waiting(item.size)

    def drop(self) -> None:
        """Forget what waits."""
        if self._queue is not None:
            metrics.MESSAGES_DROPPED.value += len(self._queue)
            self._channel.owner.add_waiting(-self._queue.inbound)
            self._queue = None

    def cancel(self) -> None:
        """Cancel the handler that runs, unless it is the caller."""
        if self._task is not asyncio.current_task():
            # Not at once: a task that never began would not close its handler.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def _run(self, pending: Awaitable[None] | None, ref: Any) -> None:
        channel = self._channel
        try:
            for done in itertools.count(1):
                if pending is not None:
                    await self._finish(pending, ref)
                elif done % TURN == 0:
                    await asyncio.sleep(0)
                if channel.stopped or not self._queue:
                    break
                pending, ref = channel.start_work(self._take(self._queue))
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            if not channel.stopped:
                channel.owner.crashed(channel, error)
        finally:
            self.drop()
            channel.work_done()

    def _take(self, queue: ChannelQueue) -> Message | Work:
        """The oldest item."""
        item = queue.pop()
        if item.is_inbound:
            self._channel.owner.add_waiting(-item.size)
        return item.what

    async def _finish(self, pending: Awaitable[None], ref: Any) -> None:
        if self._channel.stopped:
            if asyncio.iscoroutine(pending):
                pending.close()
            return
        try:
            await pending
        except Refused as refusal:
            if ref is NO_REF:
                raise
            self._channel.refuse(ref, refusal)
