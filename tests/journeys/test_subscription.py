"""A subscription that is open and delivers nothing is detected and made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import Serve
from tests.journeys.test_cluster import SECRET, Room, rejoin
from tests.journeys.test_cluster import own_redis as own_redis
from tests.processes import RedisServer, Server
from tests.proxy import Line, Proxy, proxy_to

pytestmark = pytest.mark.redis

EVENTS = 45
WITHIN_SECONDS = 10.0


@pytest.fixture
async def proxy(own_redis: RedisServer) -> AsyncIterator[Proxy]:
    """A proxy between one of the processes and Redis."""
    async with proxy_to(own_redis.port) as proxy:
        yield proxy


Two = tuple[Server, Server]


@pytest.fixture
async def two(beam_server: Serve, own_redis: RedisServer, proxy: Proxy) -> Two:
    """A process behind the proxy and one that is not, with default settings."""
    urls = (proxy.url, own_redis.url)
    starts = [asyncio.to_thread(beam_server, REDIS_URL=url) for url in urls]
    one, other = await asyncio.gather(*starts)
    return one, other


async def enter(server: Server, user_id: str) -> Room:
    """A member of the room `r` that has received the state."""
    room = Room(await rejoin(server, user_id))
    await room.until(lambda: room.states == 1, "the state")
    return room


async def subscribed(proxy: Proxy) -> Line:
    """The subscribed connection of the process behind the proxy."""
    lines = proxy.that_sent(b"SUBSCRIBE")
    while len(lines) != 1:
        await asyncio.sleep(0.01)
        lines = proxy.that_sent(b"SUBSCRIBE")
    return lines[0]


async def publish(server: Server, first: int, count: int) -> None:
    """Send numbered events as a backend."""
    async with httpx.AsyncClient(base_url=server.url, headers=SECRET) as http:
        for number in range(first, first + count):
            body = {"room_id": "r", "payload": {"n": number}}
            answer = await http.post("/api/v1/push_room_event", json=body)
            assert answer.status_code == 200


async def readiness(server: Server) -> tuple[int, str]:
    """The status of `/readyz`, and its check of the subscription."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/readyz")
    return answer.status_code, answer.json()["checks"]["subscription"]


async def until_ready(server: Server, *wanted: object) -> None:
    """Wait until `readiness` returns this."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while await readiness(server) != wanted:  # noqa: ASYNC110 - polled as balancers do
            await asyncio.sleep(0.1)


async def reconnects(server: Server) -> float:
    """The counter of reconnects, for all reasons."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{server.url}/metrics", headers=SECRET)
    return sum(
        float(line.rpartition(" ")[2])
        for line in answer.text.splitlines()
        if line.startswith("beam_subscription_reconnects_total{")
    )


async def assert_complete(rooms: list[Room], here: list[str]) -> None:
    """Check that all members see each other and receive each other's messages."""
    for room in rooms:
        await room.until(lambda room=room: room.here == here, f"{here} are here")
    for number, room in enumerate(rooms, 1_000):
        assert (await room.push(n=number))["status"] == "ok"
        for other in rooms:
            await other.until(
                lambda other=other, room=room, number=number: (
                    other is room or other.other[-1]["n"] == number
                ),
                "the message",
            )


@pytest.mark.parametrize(
    "way", [{"up": False}, {"down": False}, {}], ids=["from Redis", "to Redis", "both"]
)
async def test_members_that_lost_events_are_notified_within_10_seconds(
    two: Two, proxy: Proxy, way: dict[str, bool]
) -> None:
    one, other = two
    ada, bob = await enter(one, "ada"), await enter(other, "bob")
    await assert_complete([ada, bob], ["ada:1", "bob:1"])
    line = await subscribed(proxy)
    before = len(ada.other)

    line.freeze(**way)
    began = time.monotonic()
    await publish(other, 0, EVENTS)

    await bob.until(lambda: len(bob.other) >= EVENTS, "the events on the other process")
    await ada.until(lambda: ada.gaps == 1, "the gap", WITHIN_SECONDS)
    assert time.monotonic() - began < WITHIN_SECONDS
    assert len(ada.other) - before in (0, EVENTS)
    assert await readiness(one) == (200, "ok")
    await assert_complete([ada, bob], ["ada:1", "bob:1"])
    assert (ada.left, bob.left, bob.gaps) == ([], [], 0)
    assert (await reconnects(one), await reconnects(other)) == (1, 0)
    assert one.text().count("The subscription to Redis failed") == 1
    assert "Redis is unavailable" not in one.text() + other.text()
    for room in (ada, bob):
        await room.leave()


async def test_joins_and_leaves_during_the_freeze_are_seen_afterwards(
    two: Two, proxy: Proxy
) -> None:
    one, other = two
    ada, bob = await enter(one, "ada"), await enter(other, "b")
    cat = await enter(other, "cat")
    await assert_complete([ada, bob, cat], ["ada:1", "b:1", "cat:1"])
    line = await subscribed(proxy)

    line.freeze()
    began = time.monotonic()
    await cat.leave()
    dan = await enter(other, "dan")
    await bob.until(lambda: bob.here == ["ada:1", "b:1", "dan:1"], "the other process")

    await ada.until(
        lambda: ada.gaps == 1 and ada.here == ["ada:1", "b:1", "dan:1"],
        "presence",
        WITHIN_SECONDS,
    )
    assert time.monotonic() - began < WITHIN_SECONDS
    line.thaw()
    await assert_complete([ada, bob, dan], ["ada:1", "b:1", "dan:1"])
    for room in (ada, bob, dan):
        await room.leave()


async def test_a_process_is_not_ready_while_its_subscription_is_frozen(
    two: Two, proxy: Proxy
) -> None:
    one, other = two
    ada, bob = await enter(one, "ada"), await enter(other, "bob")
    await assert_complete([ada, bob], ["ada:1", "bob:1"])
    (await subscribed(proxy)).freeze()
    proxy.freezes_new = True

    async with asyncio.timeout(WITHIN_SECONDS):
        # Because of the subscription or of Redis, whichever is detected first.
        while (await readiness(one))[0] != 503:  # noqa: ASYNC110 - polled as balancers do
            await asyncio.sleep(0.1)
    assert (await readiness(other))[0] == 200
    proxy.freezes_new = False
    for line in proxy.lines:
        line.thaw()

    await ada.until(lambda: ada.gaps > 0, "the gap")
    await until_ready(one, 200, "ok")
    await assert_complete([ada, bob], ["ada:1", "bob:1"])
    assert bob.left == []
    for room in (ada, bob):
        await room.leave()
