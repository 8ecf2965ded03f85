"""Decides whether a subscription to Redis delivers, end to end.

A proof has two parts: a message to a channel of this process, published like every
event; and an UNSUBSCRIBE of an unused channel on the subscribed connection, which
Redis answers in order, with the number of channels that this connection is subscribed
to. Both must arrive.
"""

from __future__ import annotations

import asyncio
from typing import Any

from beam.redis.exceptions import ProofInterrupted, SubscriptionLost

# Interval at which a wait checks. Time in which the loop did not run does not count.
STEP_SECONDS = 0.1


class Proof:
    """The proofs of one subscribed connection, one at a time.

    `reads`: number of reads from the connection.
    """

    def __init__(self, channel: str) -> None:
        """`channel`: only this process publishes there."""
        self.channel = channel
        self.reads = 0
        self._loop = asyncio.get_running_loop()
        self._number = self._expected = 0
        self._message: asyncio.Future[None] = self._loop.create_future()
        self._answer: asyncio.Future[int] = self._loop.create_future()

    def begin(self) -> dict[str, Any]:
        """Start a proof. Returns the message to publish."""
        self._number += 1
        self._message = self._loop.create_future()
        self._answer = self._loop.create_future()
        return {"type": "beam.redis.subscription_proof", "number": self._number}

    def question(self, subscribed: int) -> str:
        """The channel to unsubscribe from. `subscribed`: the expected number."""
        self._expected = subscribed
        return self._unused

    @property
    def _unused(self) -> str:
        return f"{self.channel}.{self._number}"

    def receive(self, message: dict[str, Any]) -> None:
        """Take a message of the channel of this proof."""
        if message.get("number") == self._number:
            _settle(self._message, None)

    def receive_answer(self, channel: str, subscribed: int) -> None:
        """Take the reply to an UNSUBSCRIBE."""
        if channel == self._unused:
            _settle(self._answer, subscribed)

    def interrupt(self) -> None:
        """The connection was replaced: the current proof ends without a result."""
        for future in (self._message, self._answer):
            if not future.done():
                future.set_exception(ProofInterrupted("the connection was replaced"))
                # If nothing waits for it, asyncio would log it.
                future.exception()

    async def wait(self, seconds: float) -> None:
        """Returns when both parts of the proof have arrived.

        Raises `SubscriptionLost` after `seconds` in which the loop ran and nothing was
        read, or in which only one part had arrived.
        """
        halves = (self._message, self._answer)
        step = min(STEP_SECONDS, seconds / 4)
        spent, reads, waits_for = 0.0, self.reads, len(halves)
        while missing := [half for half in halves if not half.done()]:
            # Before the first part, reads are of messages that were sent earlier.
            is_backlog = len(missing) == len(halves) and self.reads != reads
            if is_backlog or len(missing) < waits_for:
                spent = 0.0
            elif spent >= seconds:
                raise self._failure(seconds)
            reads, waits_for = self.reads, len(missing)
            await asyncio.wait(missing, timeout=step)
            spent += step
        self._message.result()
        if self._answer.result() < self._expected:
            raise SubscriptionLost("forgotten", "Redis has lost a subscription")

    def _failure(self, seconds: float) -> SubscriptionLost:
        if self._answer.done():
            text = "this process does not receive its own message"
            return SubscriptionLost("forgotten", text)
        return SubscriptionLost("silent", f"no answer within {seconds:g} s")


async def done_in_time(future: asyncio.Future[None], seconds: float) -> None:
    """Wait for a future. Raises `TimeoutError` after `seconds` of a running loop."""
    step, spent = min(STEP_SECONDS, seconds / 4), 0.0
    while not future.done():
        if spent >= seconds:
            raise TimeoutError(f"no answer within {seconds:g} s")
        await asyncio.wait([future], timeout=step)
        spent += step
    future.result()


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
