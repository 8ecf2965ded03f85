"""Receipts: publishers that wait for the delivery of their event."""

from __future__ import annotations

import asyncio

from rooms.messaging.receipts import Receipts
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event


def delivery(receipt: str | None) -> Delivery:
    event = Event(topic="t", name="msg", payload={}, receipt=receipt)
    return Delivery(pack(event))


async def test_a_receipt_is_done_when_its_event_is_delivered() -> None:
    receipts = Receipts()
    mine, other = receipts.expect("mine"), receipts.expect("other")

    receipts.confirm([delivery(None), delivery("mine"), delivery("unknown")])

    assert mine.done()
    assert not other.done()
    other.cancel()


async def test_a_cancelled_receipt_is_forgotten() -> None:
    receipts = Receipts()
    mine = receipts.expect("mine")

    mine.cancel()
    await asyncio.sleep(0)
    receipts.confirm([delivery("mine")])

    assert mine.cancelled()


async def test_a_receipt_that_was_just_cancelled_does_not_stop_the_others() -> None:
    receipts = Receipts()
    mine, other = receipts.expect("mine"), receipts.expect("other")

    mine.cancel()
    receipts.confirm([delivery("mine"), delivery("other")])

    assert other.done()
