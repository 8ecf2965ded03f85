"""What waits in one channel while it is busy, in order. Pure.

Messages of the client wait as they came: decoded, one may take twenty times
the memory.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

Message = str | bytes
Work = Callable[[], "Awaitable[None] | None"]

# What an item takes in addition to its bytes, about.
OVERHEAD: Final = 250


class Item(NamedTuple):
    """A message of the client or work to do, and the bytes that it takes.

    `is_inbound`: it is, or answers, something that the client sent.
    """

    what: Message | Work
    size: int
    is_inbound: bool


def weigh(data: Message) -> int:
    """Bytes that a message takes in memory while it waits."""
    return sys.getsizeof(data) + OVERHEAD


class Inbox:
    """The items of one channel, oldest first; `inbound` and `outbound` are bytes."""

    __slots__ = ("_items", "inbound", "outbound")

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self.inbound = self.outbound = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item behind the others."""
        self._items.append(item)
        self._count(item, 1)

    def pop(self) -> Item:
        """Take the oldest item."""
        item = self._items.popleft()
        self._count(item, -1)
        return item

    def _count(self, item: Item, sign: int) -> None:
        if item.is_inbound:
            self.inbound += sign * item.size
        else:
            self.outbound += sign * item.size
