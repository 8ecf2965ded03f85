"""Rooms that are large in bytes: all clients that read can join, and stay."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
import pytest
import redis

from tests.clients import until
from tests.conftest import Serve
from tests.journeys.conftest import Connect
from tests.journeys.test_phoenix_client import arguments
from tests.processes import NODE_FOLDER, RedisServer, Server, find_node, redis_server
from tests.raw import CLOSE, PONG, TEXT, RawClient, RawFrame, close_code

META = {"x": "y" * 3_900}
# `max_presence_frame_bytes`, and the frame around the members.
LONGEST = 1_000_500
SECONDS = 60.0
# The clients send no heartbeats.
PATIENT = {"BEAM_IDLE_TIMEOUT": "600"}


class Member:
    """A client that reads all the time, and keeps a presence list like phoenix.js."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.here: set[str] = set()
        self.events: Counter[str] = Counter()
        self.longest = 0
        self.closed: int | None = None
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await self.client.frame()
                if frame.kind == CLOSE:
                    self.closed = close_code(frame)
                    return
                self.longest = max(self.longest, len(frame.payload))
                self._take(*orjson.loads(frame.payload)[3:])

    def _take(self, event: str, payload: Any) -> None:
        self.events[event] += 1
        if event == "presence_state":
            self.here = set(payload)
        elif event == "presence_diff":
            assert self.events["presence_state"], "a diff came before the state"
            self.here |= set(payload["joins"])
            self.here -= set(payload["leaves"])

    async def leave(self) -> None:
        """Drop the connection."""
        self.reading.cancel()
        await asyncio.gather(self.reading, return_exceptions=True)
        await self.client.abort()


async def joining(raw: Connect, server: Server, name: str, count: int) -> list[Member]:
    """New clients that have all sent their join at once."""
    clients = [await raw(server, f"{name}{n}") for n in range(count)]
    for client in clients:
        client.join("lobby", meta=META)
    return [Member(client) for client in clients]


async def all_see(members: list[Member], count: int) -> None:
    """Wait until each member sees `count` members. Fails if one was closed."""

    def settled() -> bool:
        assert {member.closed for member in members} == {None}
        assert not any(member.reading.done() for member in members)
        return all(len(member.here) == count for member in members)

    await until(settled, SECONDS)


@asynccontextmanager
async def node(
    server: Server, **more: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The official client, in the same room."""
    process = await asyncio.create_subprocess_exec(
        find_node(),
        "large.mjs",
        arguments(server, **more),
        cwd=NODE_FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        # Closes the pipes.
        await process.communicate()


async def report(process: asyncio.subprocess.Process) -> Any:
    """The next report of a process."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    return json.loads(line)


@pytest.mark.node
@pytest.mark.parametrize("kind", ["beam", "daphne"])
async def test_all_clients_join_a_room_that_is_large_in_bytes(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(kind, **PATIENT)
    members: list[Member] = []

    for n in range(4):
        members += await joining(raw, server, f"part{n} ", 75)
        await all_see(members, len(members))

    async with node(server, members=301) as official:
        new = await report(official)
    await all_see(members, 300)
    async with node(server, members=301, old=True) as official:
        old = await report(official)
    for got in (new, old):
        # The state in two parts, one's own join.
        assert got["order"][:3] == ["presence_state", "presence_diff", "presence_diff"]
        assert (got["opens"], got["closes"], got["leaves"]) == (1, 0, 0)
        assert got["metas"]
        assert got["longest"] < LONGEST
    assert max(member.longest for member in members) < LONGEST


@pytest.mark.node
@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_members_that_read_stay_when_many_join_and_drop_at_once(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(kind, **PATIENT)
    readers = await joining(raw, server, "reader", 5)
    await all_see(readers, 5)
    async with node(server, members=316, then=6) as official:
        members = await joining(raw, server, "member", 310)
        await all_see(readers + members, 316)
        before = await report(official)
        assert official.stdin is not None
        official.stdin.write(b"go\n")
        await asyncio.gather(*(member.leave() for member in members))
        after = await report(official)

    await all_see(readers, 5)
    assert (before["closes"], after["closes"], after["opens"]) == (0, 0, 1)
    assert after["leaves"] == 310
    assert max(reader.longest for reader in readers) < LONGEST


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_a_client_that_joins_many_large_rooms_at_once_gets_them_as_it_reads(
    beam_server: Serve, raw: Connect, kind: str
) -> None:
    server = beam_server(
        kind,
        **PATIENT,
        BEAM_INBOUND_RATE="100000",
        BEAM_MAX_META_BYTES="60000",
        BEAM_OUTBOUND_LIMIT="100000",
    )
    rooms = [f"room {n}" for n in range(60)]
    for n in range(5):
        present = await raw(server, f"present{n}")
        for room in rooms:
            present.join(room, meta={"x": "y" * 50_000})
        for _ in rooms:
            await present.event("phx_reply")
        Member(present)
    client = await raw(server, "comes back")

    # As the official client does when it has reconnected: 15 MB of states.
    for room in rooms:
        client.join(room)
    # It reads nothing for longer than the server takes to produce them all.
    witness = await raw(server, "witness")
    for room in rooms:
        witness.join(room)
    for _ in rooms:
        await witness.event("presence_state")

    for _ in rooms:
        # The witness may be among them.
        assert len((await client.event("presence_state")).body) >= 5


async def fill(raw: Connect, server: Server, room: str, members: int) -> None:
    """Fill a room with members, whose metas have 900 kB each."""
    for n in range(members):
        client = await raw(server, f"{room}{n}")
        client.join(room, meta={"x": "y" * 900_000})
        await client.event("phx_reply")
        Member(client)


async def read_state(client: RawClient, members: int) -> None:
    """Read all parts of a state with `members` members."""
    here = len((await client.event("presence_state")).body)
    while here < members:
        here += len((await client.event("presence_diff")).body["joins"])


async def pong(client: RawClient) -> RawFrame:
    """The next pong; passes over messages."""
    async with asyncio.timeout(5):
        while (frame := await client.frame()).kind != PONG:
            assert frame.kind == TEXT
        return frame


LARGE_METAS = PATIENT | {
    "BEAM_INBOUND_RATE": "100000",
    "BEAM_MAX_META_BYTES": "950000",
    "BEAM_MAX_MESSAGE_BYTES": "1000000",
}


async def test_a_client_that_has_read_one_state_may_get_a_larger_one(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(**LARGE_METAS, BEAM_OUTBOUND_LIMIT="100000")
    # Each state is larger than the buffers of the system.
    await fill(raw, server, "small", 6)
    await fill(raw, server, "large", 12)
    client = await raw(server, "comes back")

    client.join("small")
    await read_state(client, 6)
    client.join("large")
    await read_state(client, 12)

    client.send("1", "2", "room:large", "hello", {"broadcast": True})
    assert b'"ok"' in (await client.event("phx_reply")).payload


async def test_a_client_that_was_sent_a_large_state_gets_its_pongs(
    beam_server: Serve, raw: Connect
) -> None:
    server = beam_server(**LARGE_METAS)
    await fill(raw, server, "large", 10)
    client = await raw(server, "ada")
    client.join("large")
    await read_state(client, 10)

    # Clients that ping disconnect if one ping is not answered.
    for ping in (b"1", b"2", b"3"):
        client.ping(ping)
        assert (await pong(client)).payload == ping


@pytest.mark.node
@pytest.mark.redis
async def test_all_members_stay_when_the_subscription_is_cut(
    beam_server: Serve, raw: Connect
) -> None:
    with redis_server() as own:
        server = beam_server(REDIS_URL=own.url, **PATIENT)
        members = await joining(raw, server, "member", 314)
        await all_see(members, 314)
        client = node(server, members=315, then=315, until="presence_state")
        async with client as official:
            before = await report(official)
            assert official.stdin is not None
            official.stdin.write(b"go\n")
            assert close_subscriptions(own)
            await until(lambda: all(m.events["beam_gap"] for m in members), SECONDS)
            after = await report(official)

        await until(lambda: has_fresh_state(members), SECONDS)
        await all_see(members, 314)
        assert (before["closes"], after["closes"], after["opens"]) == (0, 0, 1)
        # Members in later parts of a state must not seem to leave.
        assert after["leaves"] == 0


def has_fresh_state(members: list[Member]) -> bool:
    """Whether all members have received a second state."""
    return all(member.events["presence_state"] > 1 for member in members)


def close_subscriptions(server: RedisServer) -> int:
    """Close the subscriptions of all processes; the number of them."""
    with redis.Redis(port=server.port) as client:
        return int(client.client_kill_filter(_type="pubsub"))
