"""Owns the receipts of one process: publishers that wait for their own event."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from rooms.protocol.encoded_event import Delivery


class Receipts:
    """The futures of publishers, by receipt."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._expected: dict[str, asyncio.Future[None]] = {}

    def expect(self, receipt: str) -> asyncio.Future[None]:
        """A future that is done when this process has delivered the event."""
        future = self._loop.create_future()
        self._expected[receipt] = future
        future.add_done_callback(lambda _: self._expected.pop(receipt, None))
        return future

    def confirm(self, batch: Iterable[Delivery]) -> None:
        """Complete the futures of events that were delivered."""
        if not self._expected:
            return
        for delivery in batch:
            if delivery.receipt is None:
                continue
            future = self._expected.get(delivery.receipt)
            # A cancelled future is removed only at the next turn of the loop.
            if future is not None and not future.done():
                future.set_result(None)
