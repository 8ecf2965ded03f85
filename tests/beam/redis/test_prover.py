"""What proofs find out about a subscription to Redis."""

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
from tests.contracts.test_publisher import FakeMember
from tests.processes import RedisServer
from tests.proxy import Proxy

pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


async def say(number: int) -> None:
    """Publish to the member's topic; Redis took it."""
    await publisher.published(Event(topic="t", name="e", payload={"n": number}))


def heard(shard: Any) -> list[int]:
    """What the member was sent."""
    return [payload["n"] for payload in shard.member.socket.got]


async def until(condition: Any) -> None:
    """Wait for something to be true."""
    async with asyncio.timeout(8):
        while not condition():  # noqa: ASYNC110 - anything may be waited for
            await asyncio.sleep(0.01)


async def test_a_subscription_that_is_heard_is_left_alone(
    behind: Any, renewed: Any
) -> None:
    for _ in range(20):
        await behind.prover.verify()

    assert behind.prover.proved
    assert (renewed(), behind.gaps) == ({}, 0)


@pytest.mark.parametrize("way", [{"up": False}, {"down": False}, {}])
async def test_a_frozen_subscription_is_made_again_and_the_gap_is_announced(
    behind: Any, proxy: Proxy, renewed: Any, way: dict[str, bool]
) -> None:
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze(**way)

    with pytest.raises(redis.SubscriptionLost):
        await behind.prover.verify()

    assert not behind.prover.proved
    assert not behind.channel_layer.proved
    await behind.prover.verify()
    assert behind.prover.proved
    assert (renewed(), behind.gaps) == ({"silent": 1}, 1)
    assert redis.link().up
    await say(1)
    await until(lambda: heard(behind) == [1])
    await hub().attach(FakeMember("new"))


async def test_what_waited_in_a_frozen_subscription_never_comes(
    behind: Any, proxy: Proxy
) -> None:
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze()
    await say(1)
    with pytest.raises(redis.SubscriptionLost):
        await behind.prover.verify()
    await behind.prover.verify()

    line.thaw()
    await say(2)

    await until(lambda: heard(behind) == [2])
    await behind.prover.verify()
    assert heard(behind) == [2]


async def test_a_frozen_subscription_is_found_without_being_asked_for(
    behind: Any, proxy: Proxy, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"lease_renew": 0.2}
    behind.prover.doubt()
    [line] = proxy.that_said(b"SUBSCRIBE")

    line.freeze()

    await until(lambda: behind.gaps == 1)
    await until(lambda: behind.prover.proved)


async def test_it_is_found_though_events_still_come_by_it(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    async def talk() -> None:
        for number in range(10_000):
            await say(number)
            await asyncio.sleep(0.01)

    talking = asyncio.create_task(talk())
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze(down=False)

    with pytest.raises(redis.SubscriptionLost):
        await behind.prover.verify()

    talking.cancel()
    assert renewed() == {"silent": 1}


async def test_a_join_that_is_not_confirmed_has_the_subscription_proved(
    behind: Any, proxy: Proxy
) -> None:
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze()

    with pytest.raises(redis.NoAnswer):
        await hub().attach(FakeMember("new"))

    assert redis.link().up
    await until(lambda: behind.gaps == 1)
    await until(lambda: behind.prover.proved)
    await hub().attach(FakeMember("new"))


async def test_a_frozen_publishing_connection_is_an_outage(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    await say(1)
    for line in proxy.that_said(b"PUBLISH"):
        line.freeze()

    with pytest.raises(redis.Unavailable):
        await behind.prover.verify()

    assert not redis.link().up
    redis.link().answered()
    await say(2)
    await behind.prover.verify()
    assert heard(behind) == [1, 2]
    assert renewed() == {}


async def test_where_redis_itself_does_not_answer_no_subscription_is_blamed(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    await redis.client().ping()
    for line in proxy.lines:
        if b"PUBLISH" not in line.said:
            line.freeze()

    with pytest.raises(redis.NoAnswer):
        await behind.prover.verify()

    assert renewed() == {}
    assert not redis.link().up


@pytest.mark.parametrize("lost", ["a group", "the channel of the proofs"])
async def test_a_channel_that_redis_forgot_is_subscribed_to_again(
    behind: Any, renewed: Any, lost: str
) -> None:
    group = behind.channel_layer._get_group_channel_name(group_name("t"))
    channel = group if lost == "a group" else behind._proof.channel
    # Nothing in this process knows.
    await behind._pubsub.connection.send_command("UNSUBSCRIBE", channel)

    with pytest.raises(redis.SubscriptionLost):
        await behind.prover.verify()

    await behind.prover.verify()
    assert (renewed(), behind.gaps) == ({"forgotten": 1}, 1)
    await say(1)
    await until(lambda: heard(behind) == [1])


async def asked(shard: Any) -> asyncio.Task[None]:
    """A proof that has sent its question, and waits."""
    shard._proof._expected = 0
    proving = asyncio.create_task(shard.prover.verify())
    await until(lambda: shard._proof._expected)
    return proving


async def test_a_loop_that_lags_does_not_blame_the_subscription(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze()
    proving = await asked(behind)

    for _ in range(3):
        await asyncio.sleep(0.001)
        time.sleep(2 * conf().redis_timeout)  # noqa: ASYNC251 - the lag
    line.thaw()

    await proving
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_an_answer_behind_a_long_backlog_is_waited_for(
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
    # Blocks this loop: all of it waits when the proof begins.
    with sync_redis.Redis(port=shared_redis.port) as client:
        pipeline = client.pipeline(transaction=False)
        for _ in range(300):
            pipeline.publish(channel, data)
        pipeline.execute()

    began = time.monotonic()
    await behind.prover.verify()

    assert time.monotonic() - began > 2 * conf().redis_timeout
    assert slow == 300
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_members_that_come_and_go_during_proofs_do_no_harm(
    behind: Any, renewed: Any
) -> None:
    async def come_and_go(topic: str) -> None:
        for _ in range(30):
            member = FakeMember(topic)
            await hub().attach(member)
            hub().detach(member)

    moving = [asyncio.create_task(come_and_go(f"m{n}")) for n in range(10)]
    while not all(task.done() for task in moving):
        await behind.prover.verify()

    await asyncio.gather(*moving)
    assert (renewed(), behind.gaps) == ({}, 0)


async def test_a_subscription_that_was_given_up_on_purpose_is_no_outage(
    behind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    # As where a demoted master is left.
    await redis.reconnect()

    await until(lambda: behind.gaps == 1)
    await behind.prover.verify()
    assert redis.link().up
    assert caplog.messages == []


async def test_a_proof_during_which_the_connection_is_cut_says_nothing(
    behind: Any, proxy: Proxy, renewed: Any
) -> None:
    [line] = proxy.that_said(b"SUBSCRIBE")
    line.freeze()
    proving = await asked(behind)

    line.close()

    with pytest.raises(redis.Unavailable) as caught:
        await proving
    assert not isinstance(caught.value, redis.SubscriptionLost)
    redis.link().answered()
    await until(lambda: behind.gaps == 1)
    await behind.prover.verify()
    assert renewed() == {}
