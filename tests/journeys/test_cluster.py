"""Processes die and stall, and Redis does: presence comes right, losses are told."""

from __future__ import annotations

import asyncio
import json
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
    """For what only an operator does."""
    return redis.Redis.from_url(server.url)


class Room:
    """What a client knows of who is here, as the official client computes it.

    `left`: the sessions of all metas that left, replaced ones too. `gone`: those of
    which no meta was left, in a diff or a fresh state.
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
        """The sessions that are here, one entry each."""
        return sorted(self.refs.values())

    async def until(self, condition: Any, what: str, seconds: float = 15) -> None:
        """Wait for something to be true of what was heard."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {vars(self)}"
            await asyncio.sleep(0.02)

    async def push(self, **payload: Any) -> Any:
        """A broadcast's reply."""
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
    """A member of the room `r`, listening; with itself in what it knows."""
    return Room(await join(server, user_id, "r"))


@pytest.fixture
async def three(beam_server: Serve, own_redis: RedisServer) -> Any:
    """Three processes, a member on each; the first two listen."""
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
    await asyncio.sleep(2.0)  # two more leases: nobody tells it again
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

    await asyncio.sleep(1.0)  # three renewals
    token_state = await state_of(servers[1])
    assert sorted(token_state) == ["a:1", "b:1", "c:1"]
    assert all("a:1" not in room.left for room in rooms)


async def state_of(server: Server) -> dict[str, Any]:
    """`presence_state` as a member gets it who may not be present itself."""
    from websockets.asyncio.client import connect

    token = jwt_tokens.mint_user("watcher", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    async with connect(url, proxy=None) as socket:
        room_token = jwt_tokens.mint_room("r", 60, can=["push"])
        payload = {"room_token": room_token, "session_id": "1"}
        await socket.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
        state: dict[str, Any] = await event(socket, "presence_state")
    return state


async def outage_is_told(servers: list[Server], rooms: list[Room]) -> None:
    """While Redis is away: told at once, to everybody who asks."""
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


async def recovery_is_told(servers: list[Server], rooms: list[Room]) -> None:
    """After the return: a gap, a fresh state, and everything works."""
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
    await outage_is_told(servers, rooms)
    await asyncio.to_thread(own_redis.start)

    await recovery_is_told(servers, rooms)


async def test_members_stay_and_are_notified_when_redis_pauses(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three
    assert own_redis.process is not None

    own_redis.process.send_signal(signal.SIGSTOP)
    try:
        await outage_is_told(servers, rooms)
        await asyncio.sleep(2.0)  # longer than a lease
    finally:
        own_redis.process.send_signal(signal.SIGCONT)

    await recovery_is_told(servers, rooms)


async def test_members_are_notified_when_a_subscription_was_cut(
    three: Any, own_redis: RedisServer
) -> None:
    servers, rooms = three

    client(own_redis).client_kill_filter(_type="pubsub")

    await recovery_is_told(servers, rooms)


async def test_a_member_that_leaves_during_an_outage_of_redis_is_gone_afterwards(
    three: Any, own_redis: RedisServer
) -> None:
    servers, (ada, bob, cat) = three

    assert own_redis.process is not None
    own_redis.process.send_signal(signal.SIGSTOP)
    await cat.leave()
    await asyncio.sleep(1.5)
    own_redis.process.send_signal(signal.SIGCONT)

    for room in (ada, bob):
        await room.until(lambda room=room: room.here == ["a:1", "b:1"], "c is gone")
    assert sorted(await state_of(servers[0])) == ["a:1", "b:1"]


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
    await asyncio.sleep(2.5)  # the grace period of the first is over
    assert ada.left == []
    await back.leave()
    await ada.until(lambda: ada.left == ["bob:1"], "bob left for good")
    await ada.leave()


async def rejoin(server: Server, user_id: str) -> ClientConnection:
    """Join, and read nothing."""
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
    await asyncio.sleep(0.5)
    states = ada.states, bob.states

    with client(own_redis) as redis_client:
        [version] = redis_client.keys("beam:*:version")
        redis_client.incr(version)

    # A change that every process finds in Redis, and none was told of.
    for room, before in zip((ada, bob), states, strict=True):
        await room.until(
            lambda room=room, before=before: room.states > before, "a fresh state"
        )
        assert room.here == ["a:1", "b:1", "c:1"]
        assert (room.left, room.gaps) == ([], 0)
