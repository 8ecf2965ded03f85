"""What waits in a busy channel, and the bytes that it takes."""

from __future__ import annotations

import pytest

from rooms.messaging.inbox import Inbox, Item, weigh


def test_items_come_back_in_order_and_are_counted_by_their_origin() -> None:
    inbox = Inbox()
    items = [
        Item("first", 10, is_inbound=True),
        Item("second", 100, is_inbound=False),
        Item("third", 1, is_inbound=True),
    ]

    for item in items:
        inbox.put(item)

    assert (len(inbox), inbox.inbound, inbox.outbound) == (3, 11, 100)
    assert [inbox.pop() for _ in range(3)] == items
    assert (len(inbox), inbox.inbound, inbox.outbound) == (0, 0, 0)


@pytest.mark.parametrize(
    ("data", "least"),
    [("x" * 1_000, 1_000), (b"x" * 1_000, 1_000), ("😀" * 1_000, 4_000), ("", 200)],
)
def test_a_message_weighs_what_it_takes_in_memory(
    data: str | bytes, least: int
) -> None:
    assert least < weigh(data) < least + 500
