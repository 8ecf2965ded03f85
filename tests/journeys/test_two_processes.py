"""Two server processes over a real redis-server are one service."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import httpx
import pytest

from tests.conftest import Serve
from tests.journeys.test_phoenix_client import arguments, node
from tests.journeys.test_server import event, join
from tests.processes import ROOT, RedisServer

pytestmark = pytest.mark.redis


@pytest.mark.node
def test_messages_cross_in_order_and_presence_agrees(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    one = beam_server(REDIS_URL=shared_redis.url)
    two = beam_server(REDIS_URL=shared_redis.url)

    got = node("sequence", arguments(one, other=two.socket_url, room="crossing"))

    assert got["received"] == list(range(500))
    assert got["direct"] == [1]
    assert got["ok"] == 500


async def test_backends_and_commands_reach_every_process(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    one = beam_server(REDIS_URL=shared_redis.url)
    two = beam_server(REDIS_URL=shared_redis.url)
    clients = [await join(one, "ada", "both"), await join(two, "bob", "both")]

    answer = httpx.post(
        f"{one.url}/api/v1/push_room_event",
        json={"room_id": "both", "event": "changed", "payload": {"n": 1}},
        headers={"secret": "dev-secret"},
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "manage.py", "beam_send", "both", "changed", '{"n": 2}'],
        cwd=ROOT,
        env=os.environ | one.env,
        capture_output=True,
        timeout=20,
    )

    assert (answer.status_code, done.returncode) == (200, 0), done.stderr
    for client in clients:
        assert [(await event(client, "changed"))["n"] for _ in range(2)] == [1, 2]
        await client.close()


async def test_the_members_of_a_drained_process_leave(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    one = beam_server(REDIS_URL=shared_redis.url)
    two = beam_server(REDIS_URL=shared_redis.url)
    ada, bob = await join(one, "ada", "drained"), await join(two, "bob", "drained")

    status = await asyncio.to_thread(one.stop)

    left: list[str] = []
    while not left:
        left = list((await event(bob, "presence_diff"))["leaves"])
    assert (status, left) == (0, ["ada:1"])
    for client in (ada, bob):
        await client.close()
