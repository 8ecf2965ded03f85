"""Proofs that a subscription to Redis delivers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis as sync_redis
from pytest_django.fixtures import Settings

from beam import redis
from beam.config.conf import conf
from rooms.messaging import publisher
from rooms.messaging.hub import hub
from rooms.messaging.subscriptions import group_name
from rooms.protocol.event import Event
from tests.fakes import FakeMember
from tests.processes import RedisServer
from tests.proxy import Proxy

pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


async def publish(number: int) -> None:
    """Publish to the topic of the member; Redis has accepted it."""
    await publisher.published(Event(topic="t", name="e", payload={"n": number}))


def received(shard: Any) -> list[int]:
    """What was sent to the member."""
    return [payload["n"] for payload in shard.member.socket.got]


async def until(condition: Any) -> None:
    """Wait until a condition is true."""
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110 - conditions have no event
            await asyncio.sleep(0.01)


async def test_a_subscription_that_delivers_is_kept(behind: Any, renewed: Any) -> None:
    for _ in range(20):
        await behind.subscription_check.verify()

    assert behind.subscription_check.proved
    assert (renewed(), behind.gaps) == ({}, 0)


@pytest.mark.parametrize("way", [{"up": False}, {"down": False}, {}])
async def test_a_frozen_subscription_is_replaced_and_the_gap_is_announced(
    behind: Any, proxy: Proxy, renewed: Any, way: dict[str, bool]
) -> None:
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze(**way)

    with pytest.raises(redis.SubscriptionLost):
        await behind.subscription_check.verify()

    assert not behind.subscription_check.proved
    assert not behind.channel_layer.proved
    await behind.subscription_check.verify()
    assert behind.subscription_check.proved
    assert (renewed(), behind.gaps) == ({"silent": 1}, 1)
    assert redis.link().up
    await publish(1)
    await until(lambda: received(behind) == [1])
    await hub().attach(FakeMember("new"))


async def test_messages_that_waited_in_a_frozen_subscription_are_not_delivered(
    behind: Any, proxy: Proxy
) -> None:
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze()
    await publish(1)
    with pytest.raises(redis.SubscriptionLost):
        await behind.subscription_check.verify()
    await behind.subscription_check.verify()

    line.thaw()
    await publish(2)

    await until(lambda: received(behind) == [2])
    await behind.subscription_check.verify()
    assert received(behind) == [2]


async def test_a_frozen_subscription_is_detected_without_a_call(
    behind: Any, proxy: Proxy, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"lease_renew": 0.2}
    behind.subscription_check.doubt()
    [line] = proxy.that_sent(b"SUBSCRIBE")

    line.freeze()

    await until(lambda: behind.gaps == 1)
    await until(lambda: behind.subscription_check.proved)


async def test_a_subscription_that_cannot_send_is_replaced_although_events_arrive(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    async def publish_often() -> None:
        for number in range(10_000):
            await publish(number)
            await asyncio.sleep(0.01)

    publishing = asyncio.create_task(publish_often())
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze(down=False)

    with pytest.raises(redis.SubscriptionLost):
        await behind.subscription_check.verify()

    publishing.cancel()
    assert renewed() == {"silent": 1}


async def test_a_join_without_a_confirmation_starts_a_proof(
    behind: Any, proxy: Proxy
) -> None:
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze()

    with pytest.raises(redis.NoAnswer):
        await hub().attach(FakeMember("new"))

    assert redis.link().up
    await until(lambda: behind.gaps == 1)
    await until(lambda: behind.subscription_check.proved)
    await hub().attach(FakeMember("new"))


async def test_a_frozen_publishing_connection_is_an_outage(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    await publish(1)
    for line in proxy.that_sent(b"PUBLISH"):
        line.freeze()

    with pytest.raises(redis.Unavailable):
        await behind.subscription_check.verify()

    assert not redis.link().up
    redis.link().answered()
    await publish(2)
    await behind.subscription_check.verify()
    assert received(behind) == [1, 2]
    assert renewed() == {}


async def test_a_subscription_is_kept_while_redis_itself_does_not_answer(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    await redis.client().ping()
    for line in proxy.lines:
        if b"PUBLISH" not in line.sent:
            line.freeze()

    with pytest.raises(redis.NoAnswer):
        await behind.subscription_check.verify()

    assert renewed() == {}
    assert not redis.link().up


@pytest.mark.parametrize("lost", ["a group", "the channel of the proofs"])
async def test_a_channel_that_redis_lost_is_subscribed_to_again(
    behind: Any, renewed: Any, lost: str
) -> None:
    group = behind.channel_layer._get_group_channel_name(group_name("t"))
    channel = group if lost == "a group" else behind._proof.channel
    # This process does not notice.
    await behind._pubsub.connection.send_command("UNSUBSCRIBE", channel)

    with pytest.raises(redis.SubscriptionLost):
        await behind.subscription_check.verify()

    await behind.subscription_check.verify()
    assert (renewed(), behind.gaps) == ({"forgotten": 1}, 1)
    await publish(1)
    await until(lambda: received(behind) == [1])


async def waiting_proof(shard: Any) -> asyncio.Task[None]:
    """A proof that has sent its UNSUBSCRIBE, and waits."""
    shard._proof._expected = 0
    proving = asyncio.create_task(shard.subscription_check.verify())
    await until(lambda: shard._proof._expected)
    return proving


async def test_a_lag_of_the_loop_does_not_fail_a_proof(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze()
    proving = await waiting_proof(behind)

    for _ in range(3):
        await asyncio.sleep(0.001)
        time.sleep(2 * conf().redis_timeout)  # noqa: ASYNC251 - the lag
    line.thaw()

    await proving
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_a_proof_waits_for_an_answer_behind_a_long_backlog(
    behind: Any,
    shared_redis: RedisServer,
    renewed: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "x" * 20_000
    slow = 0

    def work(*_: Any) -> None:
        nonlocal slow
        slow += 1
        time.sleep(0.004)

    slowed = dict.fromkeys(behind.channel_layer.listeners, work)
    monkeypatch.setattr(behind.channel_layer, "listeners", slowed)
    channel = behind.channel_layer._get_group_channel_name(group_name("t"))
    data = behind.channel_layer.channel_layer.serialize({"type": "e", "text": text})
    # This blocks the loop: all messages wait when the proof begins.
    with sync_redis.Redis(port=shared_redis.port) as client:
        pipeline = client.pipeline(transaction=False)
        for _ in range(300):
            pipeline.publish(channel, data)
        pipeline.execute()

    began = time.monotonic()
    await behind.subscription_check.verify()

    assert time.monotonic() - began > 2 * conf().redis_timeout
    assert slow == 300
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_members_may_join_and_leave_during_proofs(
    behind: Any, renewed: Any
) -> None:
    async def join_and_leave(topic: str) -> None:
        for _ in range(30):
            member = FakeMember(topic)
            await hub().attach(member)
            hub().detach(member)

    moving = [asyncio.create_task(join_and_leave(f"m{n}")) for n in range(10)]
    while not all(task.done() for task in moving):
        await behind.subscription_check.verify()

    await asyncio.gather(*moving)
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_a_connection_that_was_closed_on_purpose_is_no_outage(
    behind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # As for a demoted master.
    await redis.reconnect()

    await until(lambda: behind.gaps == 1)
    await behind.subscription_check.verify()
    assert redis.link().up
    assert caplog.messages == []


async def test_a_proof_has_no_result_if_the_connection_is_cut(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    [line] = proxy.that_sent(b"SUBSCRIBE")
    line.freeze()
    proving = await waiting_proof(behind)

    line.close()

    with pytest.raises(redis.Unavailable) as caught:
        await proving
    assert not isinstance(caught.value, redis.SubscriptionLost)
    redis.link().answered()
    await until(lambda: behind.gaps == 1)
    await behind.subscription_check.verify()
    assert renewed() == {}
