"""Proves again and again that a subscription to Redis is heard."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from beam import redis
from beam.config.conf import conf
from beam.loops import not_cancelled
from beam.redis.bundle import Message
from beam.redis.exceptions import (
    NoAnswer,
    NotSent,
    SubscriptionLost,
    Unavailable,
    translated,
)
from beam.redis.outgoing import Sent
from beam.redis.subscription_proof import Proof
from beam.telemetry import metrics

logger = logging.getLogger(__name__)

# A subscription is proved with each renewal of the lease, and at least this often.
PROVE_SECONDS = 5.0
# After a proof that failed.
PROVE_AGAIN_SECONDS = 0.5


class Subscriber(Protocol):
    """The connections to one Redis host, as a proof needs them."""

    def put(self, channel: str, message: Message) -> Sent:
        """Publish."""

    def is_subscribed(self) -> bool:
        """Whether there is a subscription to prove."""

    async def subscribe(self, channel: str) -> None:
        """Subscribe. Raises `Unavailable`."""

    async def until_connected(self) -> None:
        """Wait for the subscribed connection. Raises `TimeoutError`."""

    async def count_subscriptions(self, question: Callable[[int], str]) -> None:
        """Send an UNSUBSCRIBE that Redis answers with its number of subscriptions.

        `question`: takes the number expected, and returns a channel that nobody has.
        """

    async def connect_again(self) -> None:
        """Close the subscribed connection for good, and make a new one."""


class Prover:
    """The proofs of one subscribed connection.

    `proved`: no proof has failed since the last good one.
    """

    def __init__(self, subscriber: Subscriber, prefix: str) -> None:
        """`prefix`: what the names of channels begin with."""
        self._subscriber = subscriber
        self._link = redis.link()
        self.proof = Proof(f"{prefix}proof.{uuid.uuid4().hex}")
        self._proving = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        # Set where a proof should not wait for its time.
        self._doubt = asyncio.Event()
        self.proved = True
        # Made again since the last good proof.
        self._is_new = False

    def start(self) -> None:
        """Begin. Idempotent."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_proving())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.proved = True

    def doubt(self) -> None:
        """Prove soon: something was not confirmed."""
        self._doubt.set()

    async def verify(self) -> None:
        """Returns once what is subscribed to is heard. Raises `Unavailable`.

        A subscription that is not heard is dropped: its connection is made again.
        """
        if not self._subscriber.is_subscribed():
            return
        if not self._link.up:
            raise NotSent("Redis is unavailable")
        async with self._proving:
            with translated():
                await self._prove()

    async def _prove(self) -> None:
        subscriber, proof = self._subscriber, self.proof
        await subscriber.subscribe(proof.channel)
        # Shared with all that is sent in this turn: not ours to cancel.
        await asyncio.shield(subscriber.put(proof.channel, proof.begin()))
        await subscriber.until_connected()
        try:
            await subscriber.count_subscriptions(proof.question)
            await proof.wait(conf().redis_timeout)
        except SubscriptionLost as error:
            self.proved = False
            if not await redis.batch().probe():
                raise NoAnswer("Redis does not answer a probe") from error
            await self._drop(error)
            raise
        self.proved = True
        if self._is_new:
            self._is_new = False
            logger.info("The subscription to Redis works again")

    async def _drop(self, error: SubscriptionLost) -> None:
        self._is_new = True
        metrics.SUBSCRIPTIONS_RENEWED.count(error.reason)
        logger.warning("The subscription to Redis failed: %s. Reconnecting", error)
        await self._subscriber.connect_again()

    async def _keep_proving(self) -> None:
        """Prove for as long as the layer lives."""
        while not_cancelled():
            await self._pause()
            try:
                if self._link.up:
                    await self.verify()
            except Unavailable as error:
                logger.debug("No proof of the subscription: %r", error)
            except Exception:
                logger.exception("Cannot prove the subscription to Redis")

    async def _pause(self) -> None:
        seconds = PROVE_AGAIN_SECONDS
        if self.proved:
            seconds = min(conf().lease_renew, PROVE_SECONDS)
        seconds *= random.uniform(0.8, 1.0)  # noqa: S311
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._doubt.wait()
        self._doubt.clear()
