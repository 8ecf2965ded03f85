"""SIGTERM under load: all clients get a close frame, and reconnect elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time

import psutil
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.journeys.test_phoenix_client import arguments
from tests.processes import NODE_FOLDER, RedisServer, Server, find_node, wait_until

CLIENTS = 2_000
ROOM_SIZE = 20
AT_ONCE = 200
DRAIN_SECONDS = 5


class Member(WSListener):
    """A client that joins its room, counts events, and keeps the close code."""

    def __init__(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.room = f"r{number // ROOM_SIZE}"
        self.joined: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[int | None] = loop.create_future()
        self.received = 0
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        payload = {"room_token": jwt_tokens.mint_room(self.room, 60), "session_id": "1"}
        frame = ["1", "1", f"room:{self.room}", "phx_join", payload]
        transport.send(WSMsgType.TEXT, json.dumps(frame).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.closed.set_result(frame.get_close_code().value)
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif b'"phx_reply"' in frame.get_payload_as_bytes():
            if not self.joined.done():
                self.joined.set_result(None)
        else:
            self.received += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self) -> None:
        """Send a message to the other members of the room."""
        assert self.transport is not None
        frame = ["1", "2", f"room:{self.room}", "new_msg", {"broadcast": True}]
        self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())


async def joined_members(server: Server) -> list[Member]:
    """All members, after their joins."""
    members = [Member(number) for number in range(CLIENTS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def enter(member: Member) -> None:
        token = jwt_tokens.mint_user(f"u{member.number}", 60)
        url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
        async with gate:
            await ws_connect(lambda: member, url)
            await asyncio.wait_for(member.joined, 20)

    await asyncio.gather(*map(enter, members))
    return members


async def send_in_turn(members: list[Member]) -> None:
    """Send 500 messages a second, from each open member in turn."""
    while True:
        for member in members:
            if not member.closed.done():
                member.send()
            await asyncio.sleep(0.002)


async def test_two_thousand_clients_under_load_all_get_a_close_frame(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_DRAIN_SECONDS=str(DRAIN_SECONDS), BEAM_DRAIN_BATCH="100")
    members = await joined_members(server)
    sending = asyncio.create_task(send_in_turn(members))
    await asyncio.to_thread(
        wait_until,
        lambda: all(m.received > 1 for m in members),
        "all members received messages",
    )
    assert server.process is not None
    began = time.perf_counter()

    server.process.send_signal(signal.SIGTERM)
    codes = await asyncio.gather(*(member.closed for member in members))
    status = await asyncio.to_thread(server.process.wait, 10)
    took = time.perf_counter() - began

    sending.cancel()
    assert set(codes) == {1012}
    assert status == 0
    # In batches, and not at once. Closing may take longer than the limit.
    assert 1 < took < DRAIN_SECONDS + 5
    assert "Traceback" not in server.text()
    assert "ERROR" not in server.text()


def busiest(server: Server) -> int:
    """The pid of the process that has most clients."""
    assert server.process is not None
    workers = psutil.Process(server.process.pid).children()
    return int(max(workers, key=lambda one: len(one.net_connections("tcp"))).pid)


async def two_processes(beam_server: Serve, redis: RedisServer) -> Server:
    """Two processes behind one socket, both listening."""
    server = beam_server("two processes", REDIS_URL=redis.url)
    await asyncio.to_thread(
        wait_until, lambda: "All 2 processes listen" in server.text(), "both listen"
    )
    return server


async def official_clients(
    server: Server, script: str, count: int = 30
) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader, asyncio.StreamWriter]:
    """Clients in node that have joined one room; their output and their input."""
    users = [jwt_tokens.mint_user(f"u{n}", 600) for n in range(count)]
    scenario = await asyncio.create_subprocess_exec(
        find_node(),
        script,
        arguments(server, users=users, room=script),
        cwd=NODE_FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert scenario.stdout is not None
    assert scenario.stdin is not None
    assert await scenario.stdout.readline() == b"joined\n"
    return scenario, scenario.stdout, scenario.stdin


@pytest.mark.redis
@pytest.mark.node
async def test_official_clients_reconnect_to_another_process(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = await two_processes(beam_server, shared_redis)
    scenario, output, _ = await official_clients(server, "move.mjs")

    os.kill(busiest(server), signal.SIGTERM)

    got = json.loads(await output.readline())
    await scenario.wait()
    assert set(got["codes"]) == {1012}
    assert sum(got["opens"]) == 30 + len(got["codes"])


@pytest.mark.redis
@pytest.mark.node
async def test_processes_are_replaced_under_load_without_a_missing_member(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = await two_processes(beam_server, shared_redis)
    scenario, output, commands = await official_clients(server, "rolling.mjs")
    assert server.process is not None

    server.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(
        wait_until, lambda: server.text().count("was replaced") == 2, "both replaced"
    )
    commands.write(b"replaced\n")

    got = json.loads(await output.readline())
    await scenario.wait()
    assert got["codes"] == [1012]
    assert got["wrong"] == []
    assert got["answered"] > 1_000
    assert set(got["refused"]) <= {"unavailable", "timeout"}
    # A member is absent for the others no longer than it takes to reconnect.
    assert got["longest"]["absent"] <= got["longest"]["disconnected"] + 500
