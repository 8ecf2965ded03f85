"""Redis answers and refuses writes: the outage is reported, presence exact after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from websockets.asyncio.client import connect

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.journeys.test_cluster import QUICK, SECRET, Room, enter, pairs
from tests.journeys.test_server import event
from tests.processes import ROOT, RedisServer, Server, redis_server, wait_until

pytestmark = pytest.mark.redis

LOGIN = "beam:password@"
RECOVERY_SECONDS = 10.0

Commands = list[tuple[str, ...]]


@dataclass
class Refusal:
    """How to make Redis refuse writes, and how to end it."""

    kind: str
    begin: Commands
    end: Commands


def _set(name: str, value: str) -> tuple[str, ...]:
    return ("CONFIG", "SET", name, value)


REFUSALS = {
    "no memory": Refusal("OOM", [_set("maxmemory", "1")], [_set("maxmemory", "0")]),
    "a replica": Refusal(
        "READONLY", [("REPLICAOF", "127.0.0.1", "1")], [("REPLICAOF", "NO", "ONE")]
    ),
    "a replica without its master": Refusal(
        "MASTERDOWN",
        [_set("replica-serve-stale-data", "no"), ("REPLICAOF", "127.0.0.1", "1")],
        [("REPLICAOF", "NO", "ONE")],
    ),
    "too few replicas": Refusal(
        "NOREPLICAS",
        [_set("min-replicas-to-write", "1")],
        [_set("min-replicas-to-write", "0")],
    ),
    "a disk that cannot be written": Refusal(
        "MISCONF",
        [_set("save", "3600 1000000"), ("BGSAVE",)],
        [_set("stop-writes-on-bgsave-error", "no")],
    ),
    "no right to write": Refusal(
        "NOPERM",
        [("ACL", "SETUSER", "beam", *["-@hash", "-@sortedset", "-@string"])],
        [("ACL", "SETUSER", "beam", *["+@hash", "+@sortedset", "+@string"])],
    ),
    # Scripts begin, and fail in the middle.
    "no right to one command": Refusal(
        "NOPERM",
        [("ACL", "SETUSER", "beam", "-hset")],
        [("ACL", "SETUSER", "beam", "+hset")],
    ),
    "no right to another command": Refusal(
        "NOPERM",
        [("ACL", "SETUSER", "beam", "-hincrby")],
        [("ACL", "SETUSER", "beam", "+hincrby")],
    ),
    "no right to read": Refusal(
        "NOPERM",
        [("ACL", "SETUSER", "beam", *["-hgetall", "-exists"])],
        [("ACL", "SETUSER", "beam", *["+hgetall", "+exists"])],
    ),
}


def operate(server: RedisServer, commands: Commands) -> None:
    """Run commands that only operators use."""
    with redis.Redis(port=server.port) as client:
        for command in commands:
            client.execute_command(*command)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis with a user that has the rights which the documentation lists."""
    text = (ROOT / "docs" / "operations.md").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("ACL SETUSER")]
    with redis_server(login=LOGIN) as server:
        operate(server, [tuple(line.replace("PASSWORD", "password").split())])
        yield server
        # Else it would not stop without a snapshot.
        operate(server, [_set("save", "")])


async def push(room: Room, name: str, payload: Any) -> Any:
    """Push an event of any name; the reply."""
    count = len(room.replies)
    await room.socket.send(json.dumps(["1", "8", "room:r", name, payload]))
    await room.until(lambda: len(room.replies) > count, "the reply")
    return room.replies[-1]


async def get(server: Server, path: str) -> httpx.Response:
    """Send a GET with the secret."""
    url = f"{server.url}{path}"
    return await asyncio.to_thread(httpx.get, url, headers=SECRET, timeout=5)


async def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition, as long as a recovery may take."""
    await asyncio.to_thread(wait_until, condition, what, RECOVERY_SECONDS)


def ready(server: Server) -> bool:
    """Whether `/readyz` is 200."""
    return httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200


def unready(server: Server) -> bool:
    """Whether `/readyz` is not 200."""
    return not ready(server)


def has(server: Server, known: dict[str, list[int]]) -> bool:
    """Whether the REST API lists these members."""
    return members(server) == known


def members(server: Server) -> dict[str, Any] | None:
    """The `n` of each session's metas, by REST; None if the request is refused."""
    url = f"{server.url}/api/v1/rooms/r/presence"
    answer = httpx.get(url, headers=SECRET, timeout=5)
    if answer.status_code != 200:
        return None
    return {
        member["session"]: [meta.get("n") for meta in member["metas"]]
        for member in answer.json()["members"]
    }


async def state_of_a_join(server: Server) -> dict[str, Any]:
    """The `n` of each session's metas in the state that a new member `d` gets."""
    token = jwt_tokens.mint_user("d", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    async with connect(url, proxy=None) as socket:
        payload = {"room_token": jwt_tokens.mint_room("r", 60), "session_id": "1"}
        await socket.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
        state = await event(socket, "presence_state")
    return {
        session: [meta.get("n") for meta in presence["metas"]]
        for session, presence in state.items()
    }


async def refused_join(server: Server) -> Any:
    """The reply to a join while Redis refuses."""
    token = jwt_tokens.mint_user("e", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    async with connect(url, proxy=None) as socket:
        payload = {"room_token": jwt_tokens.mint_room("r", 60), "session_id": "1"}
        await socket.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
        return await event(socket, "phx_reply")


def sessions(state: dict[str, Any]) -> list[str]:
    """The keys of a state."""
    return sorted({key for _, key in pairs(state)})


async def assert_reported(servers: list[Server], kind: str) -> None:
    """Check that probes, metrics, the API and joins report the outage."""
    for server in servers:
        await eventually(partial(unready, server), "unready")
        answer = await get(server, "/readyz")
        assert kind in answer.json()["checks"]["redis"], answer.text
        assert 'beam_redis_up{process="1"} 0' in (await get(server, "/metrics")).text
        presence = await get(server, "/api/v1/rooms/r/presence")
        assert presence.status_code == 503
        reply = await refused_join(server)
        assert (reply["status"], reply["response"]["reason"]) == (
            "error",
            "unavailable",
        )


@pytest.fixture
async def pair(beam_server: Serve, own_redis: RedisServer) -> Any:
    """Two servers, and three members: `a` on the first, `b` and `c` on the second."""
    servers = [beam_server(REDIS_URL=own_redis.url, **QUICK) for _ in range(2)]
    on = {"a": servers[0], "b": servers[1], "c": servers[1]}
    rooms = [await enter(server, name) for name, server in on.items()]
    for n, room in enumerate(rooms):
        assert (await update(room, n))["status"] == "ok"
    for room in rooms:
        await room.until(lambda room=room: room.here == ["a:1", "b:1", "c:1"], "all")
        room.gone.clear()
    yield servers, rooms
    for room in rooms[:2]:
        await room.leave()


async def update(room: Room, n: int) -> Any:
    """Give a member a meta; the reply."""
    return await push(room, "presence_update", {"meta": {"n": n}})


async def begin(server: RedisServer, refusal: Refusal) -> None:
    """Make Redis refuse writes."""
    if refusal.kind == "MISCONF":
        assert server.folder is not None
        # A directory of this name makes each snapshot fail.
        (Path(server.folder.name) / "dump.rdb").mkdir()
    operate(server, refusal.begin)
    if refusal.kind == "MISCONF":
        await eventually(lambda: snapshot_failed(server), "the snapshot fails")


async def assert_exact(
    servers: list[Server], rooms: list[Room], known: dict[str, list[int]]
) -> None:
    """Check presence by REST, for a new member, and for the members that stayed."""
    for server in servers:
        await eventually(partial(ready, server), "ready")
        await eventually(partial(has, server, known), "exact")
        assert await state_of_a_join(server) == known
    for room in rooms:
        await room.until(lambda room=room: room.here == [*known], "exact", 10)


def assert_logged_once(server: Server, kind: str) -> None:
    """Check that the log has the outage, its kind and its end, once each."""
    text = server.text()
    lines = [line for line in text.splitlines() if "Redis refuses" in line]
    assert len(lines) == 1, text
    assert kind in lines[0]
    assert text.count("Redis accepts writes again") == 1
    assert "lost its lease" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", REFUSALS)
async def test_redis_that_refuses_writes_is_an_outage_and_no_member_leaves(
    pair: Any, own_redis: RedisServer, name: str
) -> None:
    servers, (ada, bob, cat) = pair
    refusal = REFUSALS[name]

    await begin(own_redis, refusal)
    # Before the outage is detected an update is done or refused.
    replies = [await update(room, 10 + n) for n, room in enumerate((ada, bob))]
    await assert_reported(servers, refusal.kind)
    await cat.leave()
    assert (await update(bob, 20))["response"] == {"reason": "unavailable"}
    await asyncio.sleep(2.0)  # longer than a lease
    operate(own_redis, refusal.end)

    metas = [10 * (reply["status"] == "ok") + n for n, reply in enumerate(replies)]
    known = {"a:1": [metas[0]], "b:1": [metas[1]]}
    await assert_exact(servers, [ada, bob], known)
    for room in (ada, bob):
        assert set(room.gone) <= {"c:1", "d:1"}
    for server in servers:
        assert_logged_once(server, refusal.kind)


def snapshot_failed(server: RedisServer) -> bool:
    """Whether Redis could not write its last snapshot."""
    with redis.Redis(port=server.port) as client:
        info: Any = client.info("persistence")
    return bool(info["rdb_last_bgsave_status"] == "err")


class Proxy:
    """A TCP proxy in front of one of several servers; open connections stay."""

    def __init__(self, port: int) -> None:
        """`port`: the port of the first server."""
        self.to = port
        self.port = 0
        self._pumps: list[asyncio.Task[None]] = []
        self._accepting: set[asyncio.Task[Any]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        # A connection that was just accepted has no pumps yet.
        await asyncio.sleep(0)
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        closed = (writer.wait_closed() for writer in self._writers)
        await asyncio.gather(*closed, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.append(writer)
        if (task := asyncio.current_task()) is not None:
            self._accepting.add(task)
        there = await asyncio.open_connection("127.0.0.1", self.to)
        self._writers.append(there[1])
        for pump in (self._pump(reader, there[1]), self._pump(there[0], writer)):
            self._pumps.append(asyncio.create_task(pump))

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def proxied() -> AsyncIterator[tuple[Proxy, RedisServer, RedisServer]]:
    """A proxy that leads to a master, and the master's replica."""
    with redis_server() as master, redis_server() as replica:
        operate(replica, [("REPLICAOF", "127.0.0.1", str(master.port))])
        await eventually(lambda: follows(replica), "the replica is in sync")
        async with Proxy(master.port) as proxy:
            yield proxy, master, replica


def follows(replica: RedisServer) -> bool:
    """Whether a replica is in sync with its master."""
    with redis.Redis(port=replica.port) as client:
        info: Any = client.info("replication")
    return bool(info.get("master_link_status") == "up")


async def test_beam_leaves_a_demoted_master_behind_a_proxy(
    beam_server: Serve, proxied: tuple[Proxy, RedisServer, RedisServer]
) -> None:
    proxy, old, new = proxied
    url = f"redis://127.0.0.1:{proxy.port}/0"
    start = partial(beam_server, REDIS_URL=url, **QUICK)
    servers = [await asyncio.to_thread(start) for _ in range(2)]
    ada, bob = await enter(servers[0], "a"), await enter(servers[1], "b")
    for n, room in enumerate((ada, bob)):
        assert (await update(room, n))["status"] == "ok"
    await bob.until(lambda: bob.here == ["a:1", "b:1"], "both")

    operate(new, [("REPLICAOF", "NO", "ONE")])
    operate(old, [("REPLICAOF", "127.0.0.1", str(new.port))])
    await assert_reported(servers, "READONLY")
    # Open connections still lead to the old master.
    proxy.to = new.port

    known = {"a:1": [0], "b:1": [1]}
    await assert_exact(servers, [ada, bob], known)
    assert (await ada.push(n=7))["status"] == "ok"
    await bob.until(lambda: [m["n"] for m in bob.other] == [7], "the message")
    for room in (ada, bob):
        assert set(room.gone) <= {"d:1"}
        await room.leave()
    for server in servers:
        assert_logged_once(server, "READONLY")
    with redis.Redis(port=old.port) as client:
        clients: Any = client.client_list(_type="pubsub")
        assert clients == []
