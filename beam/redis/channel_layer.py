"""Owns Beam's channel layers: the stock ones, with a short road for the hub.

Both are ordinary channel layers. What they add is an extension that the hub
and the publisher use where a layer offers it: `listen` hands messages to a
callback instead of a queue, `publish` takes a message without an await.
In process nothing is copied; over Redis all messages of one turn of the loop
leave in one pipeline.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection

from beam import redis
from beam.config import redis_url
from beam.config.conf import conf
from beam.loops import goes_on
from beam.redis.exceptions import (
    LIBRARY_ERRORS,
    NoAnswer,
    NotSent,
    SubscriptionLost,
    Unavailable,
    translated,
    unavailable,
)
from beam.redis.subscription_proof import Proof, done_in_time
from beam.telemetry import metrics

Message = dict[str, Any]
Listener = Callable[[Message], None]
Sent = asyncio.Future[None]

logger = logging.getLogger(__name__)

BUNDLE = "beam.bundle"
RECEIVE_SECONDS = 1.0
RETRY_SECONDS = 0.1
CONNECT_SECONDS = 0.02
# A subscription is proved with each renewal of the lease, and at least this often.
PROVE_SECONDS = 5.0
# After a proof that failed.
PROVE_AGAIN_SECONDS = 0.5


class InProcessLayer(InMemoryChannelLayer):
    """All in one process, one event loop a channel."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self._listeners: dict[str, Listener] = {}

    def listen(self, channel: str, listener: Listener) -> None:
        """Hand a channel's messages to a callback. They are not copied: read only."""
        self._listeners[channel] = listener

    def here(self) -> InProcessLayer:
        """The part that belongs to the running loop: there is but one."""
        return self

    def publish(self, group: str, message: Message) -> Sent | None:
        """Send to the listeners of a group, at once. None: it is done."""
        for channel in self.groups.get(group, ()):
            if (listener := self._listeners.get(channel)) is not None:
                listener(message)
        return None

    async def flush(self) -> None:
        """Forget everything."""
        self._listeners.clear()
        await super().flush()


class _Shard(RedisSingleShardConnection):  # type: ignore[misc]
    """One Redis host, and what is on its way there."""

    _redis: Any
    _pubsub: Any
    _receive_task: Any

    def __init__(self, host: Any, channel_layer: _LoopLayer) -> None:
        super().__init__(host, channel_layer)
        self._waiting: dict[str, list[Message]] = {}
        self._loop = asyncio.get_running_loop()
        self._sent: Sent | None = None
        self._sender: asyncio.Task[None] | None = None
        self._link = redis.link()
        self._subscribing = asyncio.Event()
        # Redis's confirmations of subscriptions that have not come yet.
        self._acks: dict[str, asyncio.Future[None]] = {}
        self._proof = Proof(f"{channel_layer.prefix}proof.{uuid.uuid4().hex}")
        self._proving = asyncio.Lock()
        self._prover: asyncio.Task[None] | None = None
        # Set where a proof should not wait for its time.
        self._doubt = asyncio.Event()
        self.proved = True
        # Made again since the last good proof.
        self._is_new = False

    def _ensure_redis(self) -> None:
        if self._redis is None:
            self._redis = redis.connect(self.host["address"])
            pool = self._redis.connection_pool
            self._pubsub = _Subscription(pool, self._on_gap)

    def _on_gap(self) -> None:
        """The connection was made again: messages may have been missed."""
        self._proof.interrupt()
        self.channel_layer.tell_gap()

    def _ensure_receiver(self) -> None:
        super()._ensure_receiver()
        if self._prover is None:
            self._prover = self._loop.create_task(self._keep_proving())

    async def flush(self) -> None:
        """Forget everything, and close the connections."""
        if self._prover is not None:
            self._prover.cancel()
            await asyncio.gather(self._prover, return_exceptions=True)
            self._prover = None
        await super().flush()
        self.proved = True

    async def subscribe(self, channel: str) -> None:
        """Returns once Redis has it: what is published from now on is heard.

        Raises `Unavailable`; nothing is tried while Redis is unavailable.
        """
        if channel in self._subscribed_to and channel not in self._acks:
            return
        if not self._link.up:
            raise NotSent("Redis is unavailable")
        ack = self._acks.setdefault(channel, self._loop.create_future())
        era = self._link.era
        try:
            await self._until_connected()
            await super().subscribe(channel)
            self._subscribing.set()
            await done_in_time(ack, conf().redis_timeout)
        except TimeoutError as error:
            # Redis may answer everybody else: the proof finds out.
            self._doubt.set()
            raise unavailable(error) from error
        except LIBRARY_ERRORS as error:
            self._link.failed(error, era=era)
            raise unavailable(error) from error
        finally:
            self._acks.pop(channel, None)

    async def unsubscribe(self, channel: str) -> None:
        """Hear no more of it. Where Redis cannot be told now, a new connection will
        not ask for it. Raises `Unavailable`.
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

    async def _until_connected(self) -> None:
        """Wait until the receiver has made a lost connection again.

        It reads all the time: if another task made the connection, the receiver would
        read the first answers, which are for that task. Raises `TimeoutError`.
        """
        async with asyncio.timeout(conf().redis_timeout):
            while self._is_lost():  # noqa: ASYNC110 - redis-py has no event for it
                await asyncio.sleep(CONNECT_SECONDS)

    def _is_lost(self) -> bool:
        """Whether the receiver has to connect again."""
        pubsub = self._pubsub
        if pubsub is None or pubsub.connection is None or not pubsub.subscribed:
            return False
        return not pubsub.connection.is_connected

    async def verify(self) -> None:
        """Returns once what is subscribed to is heard. Raises `Unavailable`.

        A subscription that is not heard is dropped: its connection is made again.
        """
        if not self._subscribed_to:
            return
        if not self._link.up:
            raise NotSent("Redis is unavailable")
        async with self._proving:
            with translated():
                await self._prove()

    async def _prove(self) -> None:
        await self.subscribe(self._proof.channel)
        # Shared with all that is sent in this turn: not ours to cancel.
        await asyncio.shield(self.put(self._proof.channel, self._proof.begin()))
        await self._until_connected()
        try:
            async with self._lock:
                nobodys = self._proof.question(len(self._subscribed_to))
                await self._pubsub.execute_command("UNSUBSCRIBE", nobodys)
            await self._proof.wait(conf().redis_timeout)
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
        """Close the subscribed connection for good, and make a new one."""
        self._is_new = True
        metrics.SUBSCRIPTIONS_RENEWED.count(error.reason)
        logger.warning("The subscription to Redis failed: %s. Reconnecting", error)
        receiver, self._receive_task = self._receive_task, None
        if receiver is not None:
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)
        async with self._lock:
            if self._pubsub.connection is not None:
                await self._pubsub.connection.disconnect(nowait=True)
            # The receiver tries again, and reports.
            with suppress(*LIBRARY_ERRORS):
                await self._pubsub.connect()
            self._ensure_receiver()

    async def _keep_proving(self) -> None:
        """Prove for as long as the layer lives."""
        while goes_on():
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

    def put(self, channel: str, message: Message) -> Sent:
        """Send with all others of this turn; one future for all of them."""
        if not self._link.up:
            failed: Sent = self._loop.create_future()
            failed.set_exception(NotSent("Redis is unavailable"))
            failed.add_done_callback(_retrieve)
            return failed
        if self._sent is None:
            self._sent = self._loop.create_future()
            # Nobody has to look at it.
            self._sent.add_done_callback(_retrieve)
            if self._sender is None:
                self._sender = self._loop.create_task(self._send())
        self._waiting.setdefault(channel, []).append(message)
        return self._sent

    async def _send(self) -> None:
        try:
            while self._sent is not None:
                (batch, self._waiting), sent = (self._waiting, {}), self._sent
                self._sent = None
                await self._send_batch(batch, sent)
        finally:
            self._sender = None

    async def _send_batch(self, batch: dict[str, list[Message]], sent: Sent) -> None:
        era = self._link.era
        try:
            if not self._link.up:
                raise NotSent("Redis is unavailable")
            self._ensure_redis()
            pipeline = self._redis.pipeline(transaction=False)
            serialize = self.channel_layer.channel_layer.serialize
            for channel, messages in batch.items():
                pipeline.publish(channel, serialize(_bundle(messages)))
            await pipeline.execute()
        except Exception as error:  # noqa: BLE001 - told to all who sent
            failure = error
            if isinstance(error, LIBRARY_ERRORS):
                self._link.failed(error, era=era)
                failure = unavailable(error)
            if not sent.done():
                sent.set_exception(failure)
        else:
            if not sent.done():
                sent.set_result(None)

    async def _do_receiving(self) -> None:
        """Read for as long as the layer lives; errors are waited out."""
        while goes_on():
            era = self._link.era
            try:
                await self._receive()
            except LIBRARY_ERRORS as error:
                self._link.failed(error, era=era)
                await asyncio.sleep(RETRY_SECONDS)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except Exception:
                logger.exception("Cannot read from Redis")
                await asyncio.sleep(1)

    async def _receive(self) -> None:
        """One message by redis-py's road, and all that came with it by ours."""
        pubsub: Any = self._pubsub
        if not (pubsub and pubsub.subscribed):
            self._subscribing.clear()
            await self._subscribing.wait()
            return
        if pubsub.connection is not None and not pubsub.connection.is_connected:
            # Others send commands: none may get between a new connection's first ones.
            async with self._lock:
                await pubsub.connect()
        message = await pubsub.get_message(timeout=RECEIVE_SECONDS)
        if message is not None:
            self._proof.reads += 1
        self._receive_message(message)
        for response in self._buffered(pubsub):
            self._receive_message(await pubsub.handle_message(response))

    def _buffered(self, pubsub: Any) -> list[Any]:
        """Deliver what redis-py has read but not parsed; return what is not ours.

        Its road costs a timer and a dozen calls a message.
        """
        parser = getattr(pubsub.connection, "_parser", None)
        reader: Any = getattr(parser, "_reader", None)
        others: list[Any] = []
        # Only hiredis keeps what it read where it can be asked for.
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
        """Straight to the listeners; a queue only where nobody listens."""
        layer = self.channel_layer
        if message is not None and message.get("type", "message") != "message":
            self._note(message)
            return
        if message is None:
            return
        group = message["channel"].decode()
        if group == self._proof.channel:
            self._proof.hear(layer.channel_layer.deserialize(message["data"]))
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
        """What Redis sends of the subscription itself."""
        if message["type"] == "unsubscribe":
            self._proof.hear_answer(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe":
            ack = self._acks.get(message["channel"].decode())
            if ack is not None and not ack.done():
                ack.set_result(None)


class _Subscription(PubSub):
    """Tells when it had to subscribe anew: messages may have been missed."""

    def __init__(self, pool: Any, on_gap: Callable[[], None]) -> None:
        super().__init__(pool)
        self._on_gap = on_gap

    def forget(self, channel: str) -> None:
        """Do not subscribe to a channel with the next connection."""
        self.pending_unsubscribe_channels.add(self.encoder.encode(channel))

    async def on_connect(self, connection: Connection) -> None:
        """Subscribe to what was subscribed to, and is still wanted."""
        for channel in self.pending_unsubscribe_channels:
            self.channels.pop(channel, None)
        again = bool(self.channels)
        await super().on_connect(connection)
        if again:
            self._on_gap()


def _bundle(messages: list[Message]) -> Message:
    """What a group gets in one turn is one message to Redis."""
    if len(messages) == 1:
        return messages[0]
    return {"type": BUNDLE, "messages": messages}


def unbundle(message: Message) -> list[Message]:
    """The messages of a bundle, or the message itself."""
    if message["type"] == BUNDLE:
        messages: list[Message] = message["messages"]
        return messages
    return [message]


def _retrieve(sent: Sent) -> None:
    if not sent.cancelled():
        sent.exception()


class _LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The layer of one event loop."""

    def __init__(self, hosts: Any, **kwargs: Any) -> None:
        super().__init__(hosts, **kwargs)
        self.listeners: dict[str, Listener] = {}
        self.on_gap: Callable[[], None] = lambda: None
        stock: list[Any] = vars(self)["_shards"]
        name = kwargs.get("prefix") or conf().redis_prefix
        self.prefix = redis_url.channel_prefix(name, stock[0].host["address"])
        self._shards = [_Shard(shard.host, self) for shard in stock]

    def tell_gap(self) -> None:
        """Messages may have been missed."""
        self.on_gap()

    @property
    def proved(self) -> bool:
        """Whether no subscription is known to be broken."""
        return all(shard.proved for shard in self._shards)

    async def verify(self) -> None:
        """Returns once every subscription is heard. Raises `Unavailable`."""
        for shard in self._shards:
            await shard.verify()

    def publish(self, group: str, message: Message) -> Sent:
        """Send to a group; the future is done when Redis took it."""
        channel = self._get_group_channel_name(group)
        sent: Sent = self._get_shard(channel).put(channel, message)
        return sent


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Redis pub/sub: one message a group and process, one pipeline a turn.

    The names of channels begin with `prefix` (by default `redis_prefix`) and the
    number of the database.
    """

    def _get_layer(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._layers:
            # The parent makes its own kind and watches for the loop's end.
            super()._get_layer()
            self._layers[loop] = _LoopLayer(
                *self._args, **self._kwargs, channel_layer=self
            )
        return self._layers[loop]

    def listen(self, channel: str, listener: Listener) -> None:
        """Hand a channel's messages to a callback."""
        self._get_layer().listeners[channel] = listener

    def here(self) -> _LoopLayer:
        """The part that belongs to the running loop; it publishes."""
        layer: _LoopLayer = self._get_layer()
        return layer
