"""Checks regularly that the subscription to Redis delivers."""

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
from beam.redis.exceptions import (
    NoAnswer,
    NotSent,
    SubscriptionLost,
    Unavailable,
    translated,
)
from beam.redis.message_bundle import Message
from beam.redis.publish_batch import Sent
from beam.redis.subscription_proof import Proof
from beam.telemetry import metrics

logger = logging.getLogger(__name__)

# The interval is that of lease renewals, but at most this.
PROVE_SECONDS = 5.0
# After a failed proof.
PROVE_AGAIN_SECONDS = 0.5


class Subscriber(Protocol):
    """The part of a shard that a proof needs."""

    def put(self, channel: str, message: Message) -> Sent:
        """Publish a message."""

    def is_subscribed(self) -> bool:
        """Whether any channel is subscribed to."""

    async def subscribe(self, channel: str) -> None:
        """Subscribe to a channel. Raises `Unavailable`."""

    async def until_connected(self) -> None:
        """Wait for the subscribed connection. Raises `TimeoutError`."""

    async def count_subscriptions(self, question: Callable[[int], str]) -> None:
        """Send an UNSUBSCRIBE that Redis answers with the number of subscriptions.

        `question`: takes the expected number, and returns an unused channel.
        """

    async def connect_again(self) -> None:
        """Close the subscribed connection, and open a new one."""


class SubscriptionCheck:
    """Checks one subscribed connection.

    `proved`: the last proof that ended has succeeded.
    """

    def __init__(self, subscriber: Subscriber, prefix: str) -> None:
        """`prefix`: of the names of channels."""
        self._subscriber = subscriber
        self._link = redis.link()
        self.proof = Proof(f"{prefix}proof.{uuid.uuid4().hex}")
        self._proving = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        # Set to start the next proof at once.
        self._doubt = asyncio.Event()
        self.proved = True
        # The connection was replaced after the last successful proof.
        self._is_new = False

    def start(self) -> None:
        """Start checking. Idempotent."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_proving())

    async def stop(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.proved = True

    def doubt(self) -> None:
        """Start a proof soon: Redis did not confirm a subscription."""
        self._doubt.set()

    async def verify(self) -> None:
        """Returns when a proof succeeded. Raises `Unavailable`.

        After `SubscriptionLost` the connection is replaced.
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
        # The future is shared with all callers of this turn: it must not be cancelled.
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
        """Run proofs until cancelled."""
        while not_cancelled():
            await self._pause()
            try:
                if self._link.up:
                    await self.verify()
            except Unavailable as error:
                logger.debug("The subscription to Redis was not proved: %r", error)
            except Exception:
                logger.exception("The check of the subscription to Redis failed")

    async def _pause(self) -> None:
        seconds = PROVE_AGAIN_SECONDS
        if self.proved:
            seconds = min(conf().lease_renew, PROVE_SECONDS)
        seconds *= random.uniform(0.8, 1.0)  # noqa: S311
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._doubt.wait()
        self._doubt.clear()
