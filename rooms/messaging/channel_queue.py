"""The messages and work that wait while a channel is busy. Pure.

Messages wait as they were received: a decoded one may take 20 times the memory.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

Message = str | bytes
Work = Callable[[], "Awaitable[None] | None"]

# The approximate memory of an item in addition to its bytes.
OVERHEAD: Final = 250


class Item(NamedTuple):
    """A message of the client, or work to do, and its size in bytes.

    `is_inbound`: the client sent it, or it answers what the client sent.
    """

    what: Message | Work
    size: int
    is_inbound: bool


def weigh(data: Message) -> int:
    """The memory that a waiting message takes, in bytes."""
    return sys.getsizeof(data) + OVERHEAD


class ChannelQueue:
    """The items of one channel, oldest first. `inbound`, `outbound`: bytes of each."""

    __slots__ = ("_items", "inbound", "outbound")

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self.inbound = self.outbound = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item at the end."""
        self._items.append(item)
        self._count(item, 1)

    def pop(self) -> Item:
        """Remove and return the oldest item."""
        item = self._items.popleft()
        self._count(item, -1)
        return item

    def _count(self, item: Item, sign: int) -> None:
        if item.is_inbound:
            self.inbound += sign * item.size
        else:
            self.outbound += sign * item.size
