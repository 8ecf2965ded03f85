"""What Beam relies on in channels_redis: its channel layer is a subclass."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels_redis import pubsub

from tests.upstream.relied_on import relies_on

HOST = "redis://127.0.0.1:1/0"


class Subscription:
    """In place of redis-py's: records what it is asked to do."""

    subscribed = False

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    async def subscribe(self, channel: str) -> None:
        """Record it."""
        self.calls.append(("subscribe", channel))

    async def unsubscribe(self, channel: str) -> None:
        """Record it."""
        self.calls.append(("unsubscribe", channel))


class Client:
    """In place of redis-py's."""

    async def aclose(self, **_: Any) -> None:
        """Called when the event loop ends."""


class Shard(pubsub.RedisSingleShardConnection):  # type: ignore[misc]
    """One whose client and receiver are replaced, as Beam does it."""

    _redis: Any

    def _ensure_redis(self) -> None:
        if self._redis is None:
            self._redis, self._pubsub = Client(), Subscription()
        assert self._lock.locked()

    async def _do_receiving(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
async def layer() -> Any:
    """The layer of the running loop, with its shard replaced."""
    outer: Any = pubsub.RedisPubSubChannelLayer(hosts=[HOST], prefix="test:")
    layer = outer._get_layer()
    layer._shards = [Shard(layer._shards[0].host, layer)]
    return layer


@relies_on(
    "channels-redis",
    *("_get_layer", "_layers", "_args", "_kwargs"),
    to="put a layer of its own in place of the one of each event loop",
)
async def test_the_layer_of_a_loop_is_made_once_and_can_be_replaced() -> None:
    outer: Any = pubsub.RedisPubSubChannelLayer([HOST], prefix="test:")

    first = outer._get_layer()
    replaced = pubsub.RedisPubSubLoopLayer(
        *outer._args, **outer._kwargs, channel_layer=outer
    )
    outer._layers[asyncio.get_running_loop()] = replaced

    assert first.prefix == replaced.prefix == "test:"
    assert outer._get_layer() is replaced
    assert outer.groups is replaced.groups


@relies_on(
    "channels-redis",
    *("_shards", "_get_shard", "_get_group_channel_name"),
    to="publish the events of one turn of the event loop in one pipeline",
)
async def test_a_group_is_a_channel_of_one_shard(layer: Any) -> None:
    channel = layer._get_group_channel_name("room")

    assert channel == "test:__group__room"
    assert layer._get_shard(channel) is layer._shards[0]
    assert layer._shards[0].host == {"address": HOST}


@relies_on(
    "channels-redis",
    *("_ensure_redis", "_ensure_receiver", "_redis", "_pubsub", "_lock"),
    *("_receive_task", "_do_receiving", "_subscribed_to"),
    to="read from Redis itself, and to wait until a subscription is confirmed",
)
async def test_a_shard_connects_and_reads_when_it_first_subscribes(layer: Any) -> None:
    [shard] = layer._shards

    await shard.subscribe("first")
    reading = shard._receive_task
    await shard.subscribe("first")
    await shard.subscribe("second")
    await shard.unsubscribe("first")

    assert shard._receive_task is reading
    assert not reading.done()
    assert shard._subscribed_to == {"second"}
    expected = [
        ("subscribe", "first"),
        ("subscribe", "second"),
        ("unsubscribe", "first"),
    ]
    assert shard._pubsub.calls == expected
    reading.cancel()


@relies_on(
    "channels-redis",
    *("_receive_message", "groups", "channels"),
    to="hand events to the hub without a queue, and the rest to the stock layer",
)
async def test_a_message_of_a_group_goes_to_the_queues_of_its_channels(
    layer: Any,
) -> None:
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    [shard] = layer._shards

    shard._receive_message({"channel": b"test:__group__room", "data": b"data"})

    assert layer.groups == {"test:__group__room": {channel}}
    assert layer.channels[channel].get_nowait() == b"data"
    shard._receive_task.cancel()
