"""The connections of the channel layer to one Redis server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from channels_redis.pubsub import RedisSingleShardConnection
from redis._parsers.hiredis import NOT_ENOUGH_DATA

from beam import redis
from beam.config.conf import conf
from beam.loops import not_cancelled
from beam.redis.exceptions import LIBRARY_ERRORS, NotSent, translated, unavailable
from beam.redis.message_bundle import Message, unbundle
from beam.redis.publish_batch import PublishBatch
from beam.redis.pubsub import Subscription
from beam.redis.subscription_check import SubscriptionCheck
from beam.redis.subscription_proof import done_in_time

Listener = Callable[[Message], None]

logger = logging.getLogger(__name__)

RECEIVE_SECONDS = 1.0
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 0.02


class Layer(Protocol):
    """The part of the layer that a shard needs."""

    prefix: str
    listeners: dict[str, Listener]
    groups: dict[str, set[str]]
    channel_layer: Any

    def report_gap(self) -> None:
        """Messages may have been lost."""


class Shard(RedisSingleShardConnection):  # type: ignore[misc]
    """Subscribes, receives and publishes at one Redis server.

    `put`: see `PublishBatch.put`.
    """

    channel_layer: Layer
    _redis: Any
    _pubsub: Any
    _receive_task: Any

    def __init__(self, host: Any, channel_layer: Layer) -> None:
        super().__init__(host, channel_layer)
        self._loop = asyncio.get_running_loop()
        self._link = redis.link()
        self._subscribing = asyncio.Event()
        # Subscriptions that Redis has not confirmed yet.
        self._acks: dict[str, asyncio.Future[None]] = {}
        self.put = PublishBatch(self._client, channel_layer.channel_layer.serialize).put
        self.subscription_check = SubscriptionCheck(self, channel_layer.prefix)
        self._proof = self.subscription_check.proof

    def _client(self) -> redis.Redis:
        self._ensure_redis()
        client: redis.Redis = self._redis
        return client

    def _ensure_redis(self) -> None:
        if self._redis is None:
            self._redis = redis.connect(self.host["address"])
            pool = self._redis.connection_pool
            self._pubsub = Subscription(pool, self._on_gap)

    def _on_gap(self) -> None:
        """The connection was replaced: messages may have been lost."""
        self._proof.interrupt()
        self.channel_layer.report_gap()

    def _ensure_receiver(self) -> None:
        super()._ensure_receiver()
        self.subscription_check.start()

    async def flush(self) -> None:
        """End all subscriptions, and close the connections."""
        await self.subscription_check.stop()
        await super().flush()

    def is_subscribed(self) -> bool:
        """Whether any channel is subscribed to."""
        return bool(self._subscribed_to)

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed: later messages are received.

        Raises `Unavailable`.
        """
        if channel in self._subscribed_to and channel not in self._acks:
            return
        if not self._link.up:
            raise NotSent("Redis is unavailable")
        ack = self._acks.setdefault(channel, self._loop.create_future())
        generation = self._link.generation
        try:
            await self.until_connected()
            await super().subscribe(channel)
            self._subscribing.set()
            await done_in_time(ack, conf().redis_timeout)
        except TimeoutError as error:
            # Only this connection may be broken: a proof finds out.
            self.subscription_check.doubt()
            raise unavailable(error) from error
        except LIBRARY_ERRORS as error:
            self._link.failed(error, generation=generation)
            raise unavailable(error) from error
        finally:
            self._acks.pop(channel, None)

    async def unsubscribe(self, channel: str) -> None:
        """End a subscription. Raises `Unavailable`.

        If the connection is lost, the next one leaves the channel out.
        """
        with translated():
            await self._unsubscribe(channel)

    async def _unsubscribe(self, channel: str) -> None:
        async with self._lock:
            if channel in self._subscribed_to:
                self._subscribed_to.remove(channel)
                if self._is_lost():
                    self._pubsub.forget(channel)
                else:
                    await self._pubsub.unsubscribe(channel)

    async def until_connected(self) -> None:
        """Wait until the receiver has replaced a lost connection.

        Only the receiver may connect: it would otherwise read the first replies, which
        are for the task that connects. Raises `TimeoutError`.
        """
        async with asyncio.timeout(conf().redis_timeout):
            while self._is_lost():  # noqa: ASYNC110 - redis-py has no event for it
                await asyncio.sleep(CONNECT_SECONDS)

    def _is_lost(self) -> bool:
        """Whether the receiver has to reconnect."""
        pubsub = self._pubsub
        if pubsub is None or pubsub.connection is None or not pubsub.subscribed:
            return False
        return not pubsub.connection.is_connected

    async def count_subscriptions(self, question: Callable[[int], str]) -> None:
        """See `beam.redis.subscription_check.Subscriber`."""
        async with self._lock:
            unused = question(len(self._subscribed_to))
            await self._pubsub.execute_command("UNSUBSCRIBE", unused)

    async def connect_again(self) -> None:
        """Close the subscribed connection, and open a new one."""
        receiver, self._receive_task = self._receive_task, None
        if receiver is not None:
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)
        async with self._lock:
            if self._pubsub.connection is not None:
                await self._pubsub.connection.disconnect(nowait=True)
            # The receiver tries again, and logs.
            with suppress(*LIBRARY_ERRORS):
                await self._pubsub.connect()
            self._ensure_receiver()

    async def _do_receiving(self) -> None:
        """Read until cancelled; after an error, wait and go on."""
        while not_cancelled():
            generation = self._link.generation
            try:
                await self._receive()
            except LIBRARY_ERRORS as error:
                self._link.failed(error, generation=generation)
                await asyncio.sleep(RETRY_SECONDS)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception:
                logger.exception("Reading from Redis failed")
                await asyncio.sleep(1)

    async def _receive(self) -> None:
        """Read one message by redis-py, and the rest of its buffer directly."""
        pubsub: Any = self._pubsub
        if not (pubsub and pubsub.subscribed):
            self._subscribing.clear()
            await self._subscribing.wait()
            return
        if pubsub.connection is not None and not pubsub.connection.is_connected:
            # No command of another task may get between the first ones.
            async with self._lock:
                await pubsub.connect()
        message = await pubsub.get_message(timeout=RECEIVE_SECONDS)
        if message is not None:
            self._proof.reads += 1
        self._receive_message(message)
        for response in self._buffered(pubsub):
            self._receive_message(await pubsub.handle_message(response))

    def _buffered(self, pubsub: Any) -> list[Any]:
        """Deliver messages that are in redis-py's buffer; return other replies.

        By redis-py each message would cost a timer and a dozen calls.
        """
        parser = getattr(pubsub.connection, "_parser", None)
        reader: Any = getattr(parser, "_reader", None)
        others: list[Any] = []
        # Only the hiredis parser gives access to its buffer.
        while hasattr(reader, "gets"):
            if (response := reader.gets()) is NOT_ENOUGH_DATA:
                break
            if type(response) is list and len(response) == 3 and not others:
                kind, channel, data = response
                if kind == b"message":
                    self._receive_message({"channel": channel, "data": data})
                    continue
            others.append(response)
        return others

    def _receive_message(self, message: Any) -> None:
        """Call the listeners; without any, put the message in a queue."""
        layer = self.channel_layer
        if message is not None and message.get("type", "message") != "message":
            self._note(message)
            return
        if message is None:
            return
        group = message["channel"].decode()
        if group == self._proof.channel:
            self._proof.receive(layer.channel_layer.deserialize(message["data"]))
        elif layer.listeners:
            self._hand_over(group, message["data"])
        else:
            super()._receive_message(message)

    def _hand_over(self, group: str, data: bytes) -> None:
        layer = self.channel_layer
        messages: list[Message] | None = None
        for channel in layer.groups.get(group, ()):
            if (listener := layer.listeners.get(channel)) is not None:
                if messages is None:
                    messages = unbundle(layer.channel_layer.deserialize(data))
                for each in messages:
                    listener(each)

    def _note(self, message: Any) -> None:
        """Take a confirmation of SUBSCRIBE or UNSUBSCRIBE."""
        if message["type"] == "unsubscribe":
            self._proof.receive_answer(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe":
            ack = self._acks.get(message["channel"].decode())
            if ack is not None and not ack.done():
                ack.set_result(None)
