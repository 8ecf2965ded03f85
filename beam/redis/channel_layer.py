"""Beam's channel layers: those of Channels, with a faster path for the hub.

Both are ordinary channel layers. The hub and the publisher use two additions if a
layer has them: `listen` passes messages to a callback instead of a queue, `publish`
takes a message without an await. In process no message is copied; over Redis all
messages of one turn of the event loop are sent in one pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels.layers import InMemoryChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer

from beam.config import redis_url
from beam.config.conf import conf
from beam.redis.message_bundle import Message
from beam.redis.publish_batch import Sent
from beam.redis.shard import Listener, Shard


class InProcessLayer(InMemoryChannelLayer):
    """For one process. A channel belongs to one event loop."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self._listeners: dict[str, Listener] = {}

    def listen(self, channel: str, listener: Listener) -> None:
        """Pass the messages of a channel to a callback, which must not change them."""
        self._listeners[channel] = listener

    def loop_layer(self) -> InProcessLayer:
        """The layer of the running loop: this one."""
        return self

    def publish(self, group: str, message: Message) -> Sent | None:
        """Call the listeners of a group. Returns None: nothing is left to wait for."""
        for channel in self.groups.get(group, ()):
            if (listener := self._listeners.get(channel)) is not None:
                listener(message)
        return None

    async def flush(self) -> None:
        """Remove all groups, channels and listeners."""
        self._listeners.clear()
        await super().flush()


class _LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The part of `RedisLayer` that belongs to one event loop."""

    def __init__(self, hosts: Any, **kwargs: Any) -> None:
        super().__init__(hosts, **kwargs)
        self.listeners: dict[str, Listener] = {}
        self._gap_listeners: list[Callable[[], None]] = []
        stock: list[Any] = vars(self)["_shards"]
        name = kwargs.get("prefix") or conf().redis_prefix
        self.prefix = redis_url.channel_prefix(name, stock[0].host["address"])
        self._shards = [Shard(shard.host, self) for shard in stock]

    def add_gap_listener(self, listener: Callable[[], None]) -> None:
        """Call a function whenever messages of any topic may have been lost.

        Adding it twice is no error.
        """
        if listener not in self._gap_listeners:
            self._gap_listeners.append(listener)

    def report_gap(self) -> None:
        """Messages may have been lost."""
        for listener in self._gap_listeners:
            listener()

    @property
    def proved(self) -> bool:
        """Whether no subscription is known to be broken."""
        return all(shard.subscription_check.proved for shard in self._shards)

    async def verify(self) -> None:
        """Returns when every subscription is proved. Raises `Unavailable`."""
        for shard in self._shards:
            await shard.subscription_check.verify()

    def publish(self, group: str, message: Message) -> Sent:
        """Send to a group. The future is done when Redis has accepted the message."""
        channel = self._get_group_channel_name(group)
        sent: Sent = self._get_shard(channel).put(channel, message)
        return sent


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Redis pub/sub: each process gets one message per group and turn.

    Names of channels begin with `prefix` (default: `redis_prefix`) and the number of
    the database.
    """

    def _get_layer(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop not in self._layers:
            # The base class creates its own layer, and closes it with the loop.
            super()._get_layer()
            self._layers[loop] = _LoopLayer(
                *self._args, **self._kwargs, channel_layer=self
            )
        return self._layers[loop]

    def listen(self, channel: str, listener: Listener) -> None:
        """Pass the messages of a channel to a callback."""
        self._get_layer().listeners[channel] = listener

    def loop_layer(self) -> _LoopLayer:
        """The layer of the running loop; it can publish."""
        layer: _LoopLayer = self._get_layer()
        return layer
