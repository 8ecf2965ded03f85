"""Subscriptions to Redis: their start, their end, and lost connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import get_channel_layer

from beam import redis
from rooms.messaging.hub import hub
from rooms.messaging.subscriptions import group_name
from tests.fakes import FakeMember

pytestmark = [
    pytest.mark.redis,
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


async def subscribers(topic: str) -> int:
    """How many connections of Redis are subscribed to a topic."""
    layer: Any = get_channel_layer()
    channel = layer.loop_layer()._get_group_channel_name(group_name(topic))
    [(_, count)] = await redis.client().pubsub_numsub(channel)
    return int(count)


async def cut_and_wait(shard: Any) -> None:
    """Cut the subscribed connections, and wait until they are replaced."""
    made = asyncio.Event()
    shard.channel_layer.add_gap_listener(made.set)
    ours = await redis.client().client_list(_type="pubsub")
    for one in ours:
        await redis.client().client_kill_filter(_id=one["id"])
    await asyncio.wait_for(made.wait(), 5)
    redis.link().answered()
    await shard.subscription_check.verify()


async def test_redis_knows_the_topics_that_have_members(shard: Any) -> None:
    members = [FakeMember(f"t{n % 10}") for n in range(50)]

    await asyncio.gather(*map(hub().attach, members))

    assert [await subscribers(f"t{n}") for n in range(10)] == [1] * 10
    for member in members:
        hub().detach(member)
    await hub().finish()
    assert [await subscribers(f"t{n}") for n in range(10)] == [0] * 10


async def test_a_member_that_joins_while_the_last_one_leaves_is_subscribed(
    shard: Any,
) -> None:
    for _ in range(20):
        first, second = FakeMember("t"), FakeMember("t")
        await hub().attach(first)

        hub().detach(first)
        await hub().attach(second)

        assert await subscribers("t") == 1
        hub().detach(second)
    await hub().finish()
    assert await subscribers("t") == 0


async def test_a_member_that_joins_right_after_a_change_is_subscribed(
    shard: Any,
) -> None:
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    # The callback that removes the finished change has not run yet.
    hub()._subscriptions._changing["t"] = done

    await hub().attach(FakeMember("t"))

    assert await subscribers("t") == 1


async def test_a_cancelled_join_does_not_cancel_the_subscription_of_others(
    shard: Any,
) -> None:
    impatient = asyncio.create_task(hub().attach(FakeMember("t")))
    patient = asyncio.create_task(hub().attach(FakeMember("t")))
    await asyncio.sleep(0)

    impatient.cancel()
    await patient

    assert await subscribers("t") == 1


async def test_no_member_is_attached_while_redis_is_unavailable(shard: Any) -> None:
    redis.link().up = False
    member = FakeMember("t")

    with pytest.raises(redis.NotSent):
        await hub().attach(member)

    redis.link().up = True
    hub().detach(member)
    await hub().attach(FakeMember("t"))
    assert await subscribers("t") == 1


async def test_a_subscription_that_ended_during_an_outage_stays_ended(
    shard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = FakeMember("gone"), FakeMember("stays")
    await hub().attach(gone)
    await hub().attach(stays)

    async def fail(*_: Any) -> None:
        raise redis.NotSent("no")

    with monkeypatch.context() as patch:
        patch.setattr(shard._pubsub, "execute_command", fail)
        hub().detach(gone)
        await hub().finish()
    await cut_and_wait(shard)

    assert await subscribers("stays") == 1
    assert await subscribers("gone") == 0
    again = FakeMember("gone")
    await hub().attach(again)
    assert await subscribers("gone") == 1


async def test_only_the_receiver_replaces_a_lost_connection(
    shard: Any, caplog: pytest.LogCaptureFixture
) -> None:
    members = [FakeMember(f"t{n}") for n in range(30)]
    await hub().attach(stays := FakeMember("stays"))

    for member in members:
        await redis.reconnect()
        work = (
            shard.subscription_check.verify(),
            hub().attach(member),
            shard.unsubscribe("nobodys"),
        )
        done = await asyncio.gather(*work, return_exceptions=True)
        assert not [e for e in done if not isinstance(e, redis.Unavailable | None)]
        redis.link().up = True

    await shard.subscription_check.verify()
    assert "Traceback" not in caplog.text
    assert await subscribers(stays.topic) == 1
