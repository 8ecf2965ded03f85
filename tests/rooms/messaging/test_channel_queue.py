"""The items that wait in a busy channel, and their size."""

from __future__ import annotations

import pytest

from rooms.messaging.channel_queue import ChannelQueue, Item, weigh


def test_items_keep_their_order_and_are_counted_by_their_origin() -> None:
    queue = ChannelQueue()
    items = [
        Item("first", 10, is_inbound=True),
        Item("second", 100, is_inbound=False),
        Item("third", 1, is_inbound=True),
    ]

    for item in items:
        queue.put(item)

    assert (len(queue), queue.inbound, queue.outbound) == (3, 11, 100)
    assert [queue.pop() for _ in range(3)] == items
    assert (len(queue), queue.inbound, queue.outbound) == (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "least"),
    [("x" * 1_000, 1_000), (b"x" * 1_000, 1_000), ("😀" * 1_000, 4_000), ("", 200)],
)
def test_the_weight_of_a_message_is_its_size_in_memory(
    data: str | bytes, least: int
) -> None:
    assert least < weigh(data) < least + 500
