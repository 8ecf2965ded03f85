"""Two deployments on one Redis: nothing of one reaches the other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.conftest import Serve
from tests.journeys.test_cluster import SECRET, Room, client, rejoin
from tests.journeys.test_cluster import own_redis as own_redis
from tests.processes import ROOT, RedisServer, Server, free_port, migrated

pytestmark = pytest.mark.redis

# What differs between the two: the database or the prefix.
OTHER = {
    "database": (1, "beam"),
    "prefix": (0, "beam2"),
    "prefix that looks like a database": (0, "beam:0"),
}


class Deployment:
    """A server with its own database, and the start of its names in Redis."""

    def __init__(self, server: Server, number: int, prefix: str) -> None:
        self.server = server
        self.number, self.prefix = number, prefix
        self.rooms: dict[str, Room] = {}

    @property
    def channels(self) -> str:
        """The start of the names of its channels."""
        return f"{self.prefix}:{self.number}:"

    async def enter(self, user_id: str) -> Room:
        """A member of the room `r` that has received the state."""
        room = self.rooms[user_id] = Room(await rejoin(self.server, user_id))
        await room.until(lambda: room.states == 1, "the state")
        return room

    async def request(self, path: str, **body: Any) -> Any:
        """Send a request as a backend; the JSON of the answer."""
        async with httpx.AsyncClient(base_url=self.server.url, headers=SECRET) as http:
            url = f"/api/v1/{path}"
            answer = await (http.post(url, json=body) if body else http.get(url))
        assert answer.status_code == 200, answer.text
        return answer.json() if answer.text else None


def deploy(
    serve: Serve, server: RedisServer, folder: Path, number: int, prefix: str
) -> Deployment:
    """Start a deployment. Its password must not appear in the log."""
    database = folder / f"{number}-{prefix.replace(':', '-')}.sqlite3"
    database.write_bytes(migrated())
    started = serve(
        REDIS_URL=f"redis://default:sesame@127.0.0.1:{server.port}/{number}",
        BEAM_REDIS_PREFIX=prefix,
        DATABASE_URL=f"sqlite:///{database}",
    )
    return Deployment(started, number, prefix)


@pytest.fixture(params=OTHER)
async def two(
    request: pytest.FixtureRequest,
    beam_server: Serve,
    own_redis: RedisServer,
    tmp_path: Path,
) -> Any:
    """Two deployments, with ada and bob in the same room of each."""
    client(own_redis).config_set("requirepass", "sesame")
    both = [
        deploy(beam_server, own_redis, tmp_path, *which)
        for which in ((0, "beam"), OTHER[request.param])
    ]
    for each in both:
        ada, _ = await each.enter("ada"), await each.enter("bob")
        await ada.until(lambda ada=ada: ada.here == ["ada:1", "bob:1"], "both")
    yield both
    for each in both:
        for room in each.rooms.values():
            await room.leave()


async def test_nothing_of_one_deployment_reaches_another(two: Any) -> None:
    mine, other = two

    await mine.request("push_room_event", room_id="r", payload={"n": 1})
    await mine.rooms["ada"].until(lambda: mine.rooms["ada"].other, "the event")
    assert await mine.rooms["ada"].push(n=2) == {"status": "ok", "response": {}}
    await mine.request("rooms/r/remove", user_id="bob", block_seconds=60)
    await mine.rooms["ada"].until(lambda: mine.rooms["ada"].left == ["bob:1"], "left")
    await mine.request("rooms/r/close", reason="closing")
    await mine.request("users/ada/disconnect", reason="bye")
    await asyncio.wait_for(mine.rooms["ada"].socket.wait_closed(), 5)

    # An event of the other deployment would have arrived before this.
    ada, bob = other.rooms["ada"], other.rooms["bob"]
    assert await ada.push(n=3) == {"status": "ok", "response": {}}
    await bob.until(lambda: bob.other, "the message")
    assert [payload["n"] for payload in bob.other] == [3]
    assert ada.here == bob.here == ["ada:1", "bob:1"]
    assert (ada.left, bob.left, ada.other) == ([], [], [])
    cat = await other.enter("cat")
    assert cat.here == ["ada:1", "bob:1", "cat:1"]
    assert (await mine.request("rooms"))["rooms"] == []
    [listed] = (await other.request("rooms"))["rooms"]
    assert listed == {"room_id": "r", "sessions": 3, "users": 3}
    assert len((await mine.request("processes"))["processes"]) == 1
    assert len((await other.request("processes"))["processes"]) == 1


async def test_all_names_in_redis_begin_with_the_prefix_of_a_deployment(
    two: Any, own_redis: RedisServer
) -> None:
    with redis.Redis(
        port=own_redis.port, password="sesame", decode_responses=True
    ) as connection:
        # Processes subscribe to the channel of a proof with their first proof.
        channels = {
            name for name in connection.pubsub_channels() if "proof." not in name
        }

    parts = [
        {name for name in channels if name.startswith(each.channels)} for each in two
    ]
    assert parts[0] | parts[1] == channels
    if two[1].channels.startswith(two[0].channels):
        parts[0] -= parts[1]
    assert len(parts[0]) == len(parts[1]) == 3  # mailbox, control, room
    for each in two:
        with redis.Redis(
            port=own_redis.port,
            password="sesame",
            db=each.number,
            decode_responses=True,
        ) as connection:
            prefixes = tuple(f"{one.prefix}:" for one in two)
            assert all(key.startswith(prefixes) for key in connection.scan_iter())


def test_the_deployment_is_logged_at_its_start_without_the_password(two: Any) -> None:
    for each in two:
        text = each.server.text()

        assert (
            f"Redis: 127.0.0.1:{each.server.env['REDIS_URL'].split(':')[-1][:-2]}, "
            f"database {each.number}; "
            f"name of this deployment (redis_prefix): {each.prefix}"
        ) in text
        assert "sesame" not in text


def test_a_prefix_that_redis_would_read_as_a_pattern_stops_the_start() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "beam_serve", "--port", str(free_port())],
        cwd=ROOT,
        env=os.environ
        | {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "beam.settings"}
        | {"BEAM_REDIS_PREFIX": "beam*"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 1
    assert "BEAM['redis_prefix'] must be 1 to 64 of the characters" in ended.stderr
    assert "not 'beam*'" in ended.stderr
    assert "Traceback" not in ended.stderr
