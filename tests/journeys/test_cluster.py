"""Processes and Redis die and stall: presence is exact afterwards, gaps are sent."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis
from websockets.asyncio.client import ClientConnection

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.journeys.test_server import event, join
from tests.processes import RedisServer, Server, redis_server, wait_until

pytestmark = pytest.mark.redis

LEASE = {"BEAM_LEASE_SECONDS": "1.5", "BEAM_LEASE_RENEW": "0.3"}
QUICK = LEASE | {"BEAM_REDIS_TIMEOUT": "0.5"}
SECRET = {"secret": "dev-secret"}


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that a test may disturb."""
    with redis_server() as server:
        yield server


def client(server: RedisServer) -> redis.Redis:
    """A client for what only operators do."""
    return redis.Redis.from_url(server.url)


class Room:
    """A client's presence list, as the official client computes it.

    `left`: the sessions of all metas that left, replaced ones too. `gone`: the sessions
    without any meta after a diff or a fresh state.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.refs: dict[str, str] = {}
        self.left: list[str] = []
        self.gone: list[str] = []
        self.gaps = 0
        self.states = 0
        self.other: list[Any] = []
        self.replies: list[Any] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self.socket:
            _, _, _, name, payload = json.loads(text)
            before = set(self.refs.values())
            if name == "presence_state":
                self.states += 1
                self.refs = dict(pairs(payload))
            elif name == "presence_diff":
                self.refs |= dict(pairs(payload["joins"]))
                for ref, key in pairs(payload["leaves"]):
                    self.refs.pop(ref, None)
                    self.left.append(key)
            elif name == "beam_gap":
                self.gaps += 1
            elif name == "phx_reply":
                self.replies.append(payload)
            else:
                self.other.append(payload)
            self.gone += before - set(self.refs.values())

    @property
    def here(self) -> list[str]:
        """The sessions that are present, one entry for each meta."""
        return sorted(self.refs.values())

    async def until(self, condition: Any, what: str, seconds: float = 15) -> None:
        """Wait until a condition holds for what was received."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {vars(self)}"
            await asyncio.sleep(0.02)

    async def push(self, **payload: Any) -> Any:
        """Send a broadcast; its reply."""
        count = len(self.replies)
        frame = ["1", "9", "room:r", "new_msg", {"broadcast": True} | payload]
        await self.socket.send(json.dumps(frame))
        await self.until(lambda: len(self.replies) > count, "the reply")
        return self.replies[-1]

    async def leave(self) -> None:
        """Close the connection."""
        self._reading.cancel()
        self.socket.transport.abort()
        await self.socket.wait_closed()


def pairs(state: Any) -> list[tuple[str, str]]:
    """(ref, session) of each meta."""
    return [
        (meta["phx_ref"], key)
        for key, presence in state.items()
        for meta in presence["metas"]
    ]


async def enter(server: Server, user_id: str) -> Room:
    """A member of the room `r` that reads all frames."""
    return Room(await join(server, user_id, "r"))


@pytest.fixture
async def three(beam_server: Serve, own_redis: RedisServer) -> Any:
    """Three processes, with one member on each."""
    servers = [beam_server(REDIS_URL=own_redis.url, **QUICK) for _ in range(3)]
    rooms = [
        await enter(server, name) for server, name in zip(servers, "abc", strict=True)
    ]
    yield servers, rooms
    for room in rooms:
        await room.leave()
    for server in servers:
        assert server.process is not None
        server.process.send_signal(signal.SIGCONT)


async def test_the_members_of_a_killed_process_leave_once(three: Any) -> None:
    servers, (ada, bob, _) = three

    servers[2].kill()

    for room in (ada, bob):
        await room.until(lambda room=room: "c:1" in room.left, "the leave")
    await asyncio.sleep(2.0)  # longer than a lease: no process sends it again
    assert ada.left == bob.left == ["c:1"]
    assert [room.gaps for room in (ada, bob)] == [0, 0]
    logs = [
        server.text().count("is gone: removed 1 members of 1 topics")
        for server in servers
    ]
    assert sum(logs) == 1
    processes = httpx.get(f"{servers[0].url}/api/v1/processes", headers=SECRET).json()
    assert len(processes["processes"]) == 2


async def test_a_process_that_stalled_restores_its_members(three: Any) -> None:
    servers, (ada, bob, cat) = three

    servers[2].process.send_signal(signal.SIGSTOP)
    await ada.until(lambda: "c:1" in ada.left, "the leave")
    servers[2].process.send_signal(signal.SIGCONT)

    for room in (ada, bob):
        await room.until(lambda room=room: "c:1" in room.refs.values(), "back")
    await cat.until(lambda: "c:1" in cat.refs.values(), "back")
    assert ada.left == ["c:1"]
    late = await enter(servers[0], "d")
    for room in (ada, bob, cat):
        await room.until(lambda room=room: "d:1" in room.refs.values(), "d joins")
        assert room.here.count("c:1") == 1
    await late.leave()


async def test_all_members_are_restored_after_redis_was_flushed(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three

    client(own_redis).flushall()

    async with asyncio.timeout(15):
        while sorted(await state_of(servers[1])) != ["a:1", "b:1", "c:1"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert all("a:1" not in room.left for room in rooms)


async def state_of(server: Server) -> dict[str, Any]:
    """The `presence_state` of a new member that may not be present itself."""
    from websockets.asyncio.client import connect

    token = jwt_tokens.mint_user("watcher", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    async with connect(url, proxy=None) as socket:
        room_token = jwt_tokens.mint_room("r", 60, can=["push"])
        payload = {"room_token": room_token, "session_id": "1"}
        await socket.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
        state: dict[str, Any] = await event(socket, "presence_state")
    return state


async def assert_unavailable(servers: list[Server], rooms: list[Room]) -> None:
    """Check that every request is refused at once while Redis is unavailable."""
    ada = rooms[0]
    await ada.push()
    began = time.perf_counter()
    assert await ada.push() == {
        "status": "error",
        "response": {"reason": "unavailable"},
    }
    assert time.perf_counter() - began < 0.4
    answer = await asyncio.to_thread(
        httpx.post,
        f"{servers[0].url}/api/v1/push_room_event",
        json={"room_id": "r"},
        headers=SECRET,
    )
    ready = await asyncio.to_thread(httpx.get, f"{servers[0].url}/readyz")
    assert (answer.status_code, ready.status_code) == (503, 503)
    assert ready.json()["checks"]["redis"] != "ok"


async def assert_recovered(servers: list[Server], rooms: list[Room]) -> None:
    """Check that members get a gap and a fresh state, and that all works again."""
    for room in rooms:
        await room.until(lambda room=room: room.gaps > 0, "the gap")
        await room.until(lambda room=room: room.here == ["a:1", "b:1", "c:1"], "all")
    assert await rooms[0].push(n=7) == {"status": "ok", "response": {}}
    for room in rooms[1:]:
        await room.until(lambda room=room: room.other[-1:] != [], "the message")
        assert room.other[-1]["n"] == 7
    await asyncio.to_thread(
        wait_until,
        lambda: httpx.get(f"{servers[0].url}/readyz").status_code == 200,
        "ready again",
    )
    for server in servers:
        assert server.text().count("Redis is unavailable") == 1, server.text()
        assert "Redis answered a command" not in server.text()
        assert "Traceback" not in server.text()


async def test_all_members_are_restored_after_redis_restarted_empty(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three

    await asyncio.to_thread(own_redis.stop)
    await assert_unavailable(servers, rooms)
    await asyncio.to_thread(own_redis.start)

    await assert_recovered(servers, rooms)


async def test_members_stay_and_are_notified_when_redis_pauses(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three
    assert own_redis.process is not None

    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        await assert_unavailable(servers, rooms)
        await asyncio.sleep(2.0)  # longer than a lease
    finally:
        own_redis.process.send_signal(signal.SIGCONT)

    await assert_recovered(servers, rooms)


async def test_members_are_notified_when_a_subscription_was_cut(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three

    client(own_redis).client_kill_filter(_type="pubsub")

    await assert_recovered(servers, rooms)


async def test_a_member_that_leaves_during_an_outage_of_redis_is_gone_afterwards(
    three: Any, own_redis: RedisServer
) -> None:
    servers, (ada, bob, cat) = three

    assert own_redis.process is not None
    own_redis.process.send_signal(signal.SIGSTOP)
    await cat.leave()
    await asyncio.to_thread(
        wait_until, lambda: failed_leaves(servers[2]) == 1, "the leave has failed"
    )
    # Members get a fresh state only from a process that has noticed the outage.
    await asyncio.to_thread(
        wait_until,
        lambda: all(metric(server, "beam_redis_up") == 0 for server in servers),
        "every process has noticed the outage",
    )
    own_redis.process.send_signal(signal.SIGCONT)

    for room in (ada, bob):
        await room.until(lambda room=room: room.here == ["a:1", "b:1"], "c is gone")
    assert sorted(await state_of(servers[0])) == ["a:1", "b:1"]


def failed_leaves(server: Server) -> float:
    """The number of leaves that a process could not send to Redis."""
    return metric(server, "beam_untrack_failures_total")


def metric(server: Server, name: str) -> float:
    """The value of a metric of a process."""
    text = httpx.get(f"{server.url}/metrics", headers=SECRET).text
    [value] = re.findall(rf"^{name}\S* (\S+)$", text, re.MULTILINE)
    return float(value)


async def test_a_member_that_rejoins_within_its_grace_period_causes_no_diff(
    beam_server: Serve, own_redis: RedisServer
) -> None:
    grace = {"BEAM_PRESENCE_GRACE": "2", "REDIS_URL": own_redis.url}
    one, two = beam_server(**grace), beam_server(**grace)
    ada, bob = await enter(one, "ada"), await join(two, "bob", "r")
    await ada.until(lambda: "bob:1" in ada.refs.values(), "bob")

    bob.transport.abort()
    await bob.wait_closed()
    await asyncio.to_thread(
        wait_until, lambda: client(own_redis).keys("beam:*:leaving"), "the grace"
    )
    back = Room(await rejoin(one, "bob"))
    await back.until(lambda: back.states == 1, "the state")

    assert back.here == ["ada:1", "bob:1"]
    await asyncio.sleep(2.5)  # longer than the grace period
    assert ada.left == []
    await back.leave()
    await ada.until(lambda: ada.left == ["bob:1"], "bob has left")
    await ada.leave()


async def rejoin(server: Server, user_id: str) -> ClientConnection:
    """Request to join, and read nothing."""
    from websockets.asyncio.client import connect

    token = jwt_tokens.mint_user(user_id, 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    socket = await connect(url, proxy=None, ping_interval=None)
    payload = {"room_token": jwt_tokens.mint_room("r", 60), "session_id": "1"}
    await socket.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
    return socket


async def test_a_presence_change_that_was_lost_is_detected(
    three: Any, own_redis: RedisServer
) -> None:
    _, (ada, bob, _) = three
    for room in (ada, bob):
        await room.until(lambda room=room: "c:1" in room.here, "the last join")
    states = ada.states, bob.states

    with client(own_redis) as redis_client:
        [version] = redis_client.keys("beam:*:version")
        redis_client.incr(version)

    # Every process finds a change in Redis of which no diff was published.
    for room, before in zip((ada, bob), states, strict=True):
        await room.until(
            lambda room=room, before=before: room.states > before, "a fresh state"
        )
        assert room.here == ["a:1", "b:1", "c:1"]
        assert (room.left, room.gaps) == ([], 0)
