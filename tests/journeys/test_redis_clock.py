"""The clock of Redis jumps: no member leaves, and dead processes are still found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from tests.conftest import Serve
from tests.journeys.test_cluster import QUICK, enter, state_of
from tests.journeys.test_redis_refuses import update
from tests.processes import RedisServer, jumping_redis

pytestmark = pytest.mark.redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis whose clock the test sets."""
    with jumping_redis() as server:
        yield server


def now(server: RedisServer) -> int:
    """The clock of Redis, in seconds."""
    with redis.Redis(port=server.port) as client:
        seconds, _ = client.time()
    return int(seconds)


@pytest.mark.parametrize("jump", [12, 60, -60])
async def test_no_member_leaves_when_the_clock_of_redis_jumps(
    beam_server: Serve, own_redis: RedisServer, jump: int
) -> None:
    servers = [beam_server(REDIS_URL=own_redis.url, **QUICK) for _ in range(3)]
    rooms = [
        await enter(server, name) for server, name in zip(servers, "abc", strict=True)
    ]
    ada, bob, _ = rooms
    for n, room in enumerate(rooms):
        assert (await update(room, n))["status"] == "ok"
    for room in rooms:
        await room.until(lambda room=room: room.here == ["a:1", "b:1", "c:1"], "all")
        room.gone.clear()
    before = now(own_redis)

    own_redis.jump(jump)
    assert abs(now(own_redis) - before - jump) < 5
    await asyncio.sleep(2.5)  # longer than a lease
    own_redis.jump(0)
    await asyncio.sleep(2.5)

    for room in rooms:
        assert (room.gone, room.here) == ([], ["a:1", "b:1", "c:1"])
    assert sorted(await state_of(servers[0])) == ["a:1", "b:1", "c:1"]
    own_redis.jump(jump)
    servers[2].kill()
    for room in (ada, bob):
        await room.until(
            lambda room=room: room.gone == ["c:1"],
            "the leave of the dead process's member",
        )
    for room in rooms:
        await room.leave()
    for server in servers:
        assert "lost its lease" not in server.text()
