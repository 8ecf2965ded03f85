"""The waiting messages of a client are limited: reading pauses, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.channels.channel import Channel
from rooms.channels.client_consumer import ClientConsumer
from rooms.messaging import publisher
from rooms.messaging.connections import connections
from rooms.messaging.hub import Hub
from rooms.protocol.close_codes import Close
from rooms.protocol.event import Event
from tests.clients import Client, connected, until

LIMIT = 100_000


class Slow(Channel):
    """Its handlers wait until the test lets them go on."""

    intercepts = frozenset({"intercepted"})
    go_on: asyncio.Event

    async def join(self, payload: Any) -> Any:
        await self.subscribe()
        if payload.get("wait"):
            await self.go_on.wait()
        return {}

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None]:
        return self._answer(ref)

    def intercepted(self, event: str, payload: Any) -> None:
        self.push("received", {})

    async def _answer(self, ref: Any) -> None:
        await self.go_on.wait()
        self.reply(ref)


@pytest.fixture(autouse=True)
def slow(running_hub: Hub, settings: Settings) -> Iterator[None]:
    channels = {"slow:*": f"{__name__}.Slow"}
    limits = {"inbound_limit": LIMIT, "outbound_limit": LIMIT}
    settings.BEAM = settings.BEAM | {"channels": channels} | limits
    Slow.go_on = asyncio.Event()
    yield
    Slow.go_on.set()


def consumer() -> ClientConsumer:
    [only] = connections().everyone()
    assert isinstance(only, ClientConsumer)
    return only


async def send_much(client: Client, topic: str, count: int) -> None:
    """Push `count` messages of 10,000 bytes."""
    for n in range(count):
        await client.send("j", n, topic, "slow", {"text": "x" * 10_000})


async def refs_of(client: Client, count: int) -> list[Any]:
    """The refs of the next replies."""
    refs: list[Any] = []
    while len(refs) < count:
        frame = await client.get()
        if frame[3] == "phx_reply":
            refs.append(frame[1])
    return refs


async def test_a_busy_channel_pauses_its_client_and_loses_nothing() -> None:
    [ada] = await connected("ada")
    await ada.ask("slow:1", "phx_join", {})
    paused = metrics.PAUSED.value

    await send_much(ada, "slow:1", 50)

    await until(lambda: metrics.PAUSED.value == paused + 1)
    assert LIMIT < consumer().channels.inbound.waiting < LIMIT + 20_000
    Slow.go_on.set()
    assert await refs_of(ada, 50) == list(range(50))
    assert consumer().channels.inbound.waiting == 0


async def test_all_channels_of_a_connection_count() -> None:
    [ada] = await connected("ada")
    for n in range(20):
        await ada.ask(f"slow:{n}", "phx_join", {})
    paused = metrics.PAUSED.value

    for n in range(20):
        await send_much(ada, f"slow:{n}", 2)

    await until(lambda: metrics.PAUSED.value == paused + 1)
    Slow.go_on.set()
    assert sorted(await refs_of(ada, 40)) == sorted([*range(2)] * 20)


async def test_messages_behind_a_slow_join_count() -> None:
    [ada] = await connected("ada")
    paused = metrics.PAUSED.value
    await ada.send("j", "join", "slow:1", "phx_join", {"wait": True})

    await send_much(ada, "slow:1", 50)

    await until(lambda: metrics.PAUSED.value == paused + 1)
    assert LIMIT < consumer().channels.inbound.waiting < LIMIT + 20_000
    Slow.go_on.set()
    assert await refs_of(ada, 51) == ["join", *range(50)]
    assert consumer().channels.inbound.waiting == 0


async def test_waiting_leaves_count_too() -> None:
    [ada] = await connected("ada")
    await ada.ask("slow:1", "phx_join", {})
    await ada.send("j", "busy", "slow:1", "slow", {})
    paused = metrics.PAUSED.value

    for n in range(50):
        await ada.send("j", n, "slow:1", "phx_leave", {"text": "x" * 10_000})

    await until(lambda: metrics.PAUSED.value == paused + 1)
    Slow.go_on.set()
    assert await refs_of(ada, 2) == ["busy", 0]
    await until(lambda: consumer().channels.inbound.waiting == 0)


async def test_others_are_served_while_one_is_paused() -> None:
    ada, bob = await connected("ada", "bob")
    await ada.ask("slow:1", "phx_join", {})
    paused = metrics.PAUSED.value
    await send_much(ada, "slow:1", 50)
    await until(lambda: metrics.PAUSED.value == paused + 1)

    assert (await bob.ask("phoenix", "heartbeat", {}))["status"] == "ok"


async def test_a_client_that_is_paused_can_be_disconnected() -> None:
    [ada] = await connected("ada")
    await ada.ask("slow:1", "phx_join", {})
    paused = metrics.PAUSED.value
    await send_much(ada, "slow:1", 50)
    await until(lambda: metrics.PAUSED.value == paused + 1)
    one = consumer()

    one.close(Close.GOING_AWAY)

    assert await ada.closed_with() == 1001
    assert one.channels.inbound.waiting == 0
    await ada.close()


async def test_a_channel_too_slow_for_intercepted_events_ends() -> None:
    ada, bob = await connected("ada", "bob")
    for client in (ada, bob):
        await client.ask("slow:1", "phx_join", {})
    await ada.send("j", "busy", "slow:1", "slow", {})
    overflows = metrics.OVERFLOWS.value
    event = Event(topic="slow:1", name="intercepted", payload={"x": "y" * 10_000})

    for _ in range(15):
        await publisher.publish_and_deliver(event)

    assert await ada.event("phx_error") == {"reason": "channel_crash"}
    assert metrics.OVERFLOWS.value == overflows + 1
    for _ in range(15):
        assert await bob.event("received") == {}


async def test_one_intercepted_event_above_the_limit_waits_for_a_busy_channel() -> None:
    [ada] = await connected("ada")
    await ada.ask("slow:1", "phx_join", {})
    await ada.send("j", "busy", "slow:1", "slow", {})
    overflows = metrics.OVERFLOWS.value
    text = "y" * 2 * LIMIT
    event = Event(topic="slow:1", name="intercepted", payload={"x": text})

    await publisher.publish_and_deliver(event)
    Slow.go_on.set()

    assert await refs_of(ada, 1) == ["busy"]
    assert await ada.event("received") == {}
    assert metrics.OVERFLOWS.value == overflows


async def test_a_join_too_slow_for_the_events_of_its_topic_ends() -> None:
    [ada] = await connected("ada")
    await ada.send("j", "join", "slow:1", "phx_join", {"wait": True})
    await until(lambda: consumer().channels._entering is not None)
    overflows = metrics.OVERFLOWS.value
    event = Event(topic="slow:1", name="any", payload={"x": "y" * 10_000})

    # Four times the limit, and more.
    for _ in range(50):
        await publisher.publish_and_deliver(event)
    Slow.go_on.set()

    assert await refs_of(ada, 1) == ["join"]
    assert await ada.event("phx_error") == {"reason": "channel_crash"}
    assert metrics.OVERFLOWS.value == overflows + 1
