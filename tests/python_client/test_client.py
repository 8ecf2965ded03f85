"""Both clients against a real server."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from beam_client import (
    AsyncBeam,
    Beam,
    Event,
    Room,
)

from tests.conftest import Serve
from tests.journeys.test_cluster import Room as Listener
from tests.journeys.test_server import join
from tests.processes import RedisServer
from tests.python_client.script import Script

SECRET = "dev-secret"


def test_rooms_come_page_by_page() -> None:
    pages = (
        {"rooms": [vars(Room("a", 1, 1))], "cursor": "next"},
        {"rooms": [vars(Room("b", 1, 1))], "cursor": None},
    )
    server = Script(*pages)

    assert [room.room_id for room in server.beam().rooms("p")] == ["a", "b"]
    assert [dict(request.url.params) for request in server.requests] == [
        {"prefix": "p", "cursor": "", "limit": "1000"},
        {"prefix": "p", "cursor": "next", "limit": "1000"},
    ]


@pytest.mark.redis
async def test_every_call_works_with_a_real_server(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server(REDIS_URL=shared_redis.url)
    room = f"a/b é {secrets.token_hex(4)}"
    ada, bob = [Listener(await join(server, name, room)) for name in ("ada", "bob")]

    def moderate() -> None:
        with Beam(server.url, secret=SECRET) as beam:
            beam.publish(room, "changed", {"n": 1})
            results = beam.publish_batch(
                [
                    Event(room, payload={"n": 2}, to=[{"user_id": "bob"}]),
                    Event("x" * 201),
                ]
            )
            assert [result["status"] for result in results] == ["ok", "error"]
            assert list(beam.rooms(room)) == [Room(room, 2, 2)]
            details = beam.room(room)
            assert (details.sessions, details.open) == (2, True)
            sessions = sorted(member.session for member in beam.presence(room))
            assert sessions == ["ada:1", "bob:1"]
            assert beam.remove(room, session="bob:1", block_seconds=60) == ["bob:1"]
            assert beam.close_room(room) == 1
            assert not beam.room(room).open
            assert beam.open_room(room).open
            beam.disconnect("bob")
            assert len(beam.processes()) >= 1

    await asyncio.to_thread(moderate)
    await bob.until(lambda: bob.other[:2] == [{"n": 1}, {"n": 2}], "bob's events")
    await ada.until(lambda: {"reason": "room_closed"} in ada.other, "the close")
    assert {"n": 2} not in ada.other
    assert {"reason": "removed"} in bob.other
    await asyncio.wait_for(bob.socket.wait_closed(), 5)
    assert bob.socket.close_code == 1001
    await moderate_async(server.url, room)
    await ada.leave()


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
@pytest.mark.parametrize("name", [".", "..", "%2E", "../.."])
async def test_ids_that_are_dots_arrive_unchanged(
    beam_server: Serve, kind: str, name: str
) -> None:
    server = beam_server(kind)
    ada = Listener(await join(server, name, name))

    async with AsyncBeam(server.url, secret=SECRET) as beam:
        await beam.publish(name, "changed", {"n": 1})
        assert [room async for room in beam.rooms()] == [Room(name, 1, 1)]
        assert (await beam.room(name)).sessions == 1
        [member] = await beam.presence(name)
        assert (member.session, member.user_id) == (f"{name}:1", name)
        assert await beam.close_room(name) == 1
        assert not (await beam.room(name)).open
        assert (await beam.open_room(name)).open
        assert await beam.remove(name, user_id=name) == []
        await beam.disconnect(name)

    await ada.until(lambda: {"n": 1} in ada.other, "the event")
    await asyncio.wait_for(ada.socket.wait_closed(), 5)
    assert ada.socket.close_code == 1001


async def moderate_async(url: str, room: str) -> None:
    """The same calls with the async client, in an empty room."""
    async with AsyncBeam(url, secret=SECRET) as beam:
        await beam.publish(room)
        assert await beam.publish_batch([Event(room)]) == [{"status": "ok"}]
        assert [one async for one in beam.rooms(room)] == []
        assert await beam.presence(room) == []
        assert (await beam.room(room)).sessions == 0
        assert await beam.remove(room, user_id="ada") == []
        assert await beam.close_room(room) == 0
        assert (await beam.open_room(room)).open
        await beam.disconnect("nobody")
        assert len(await beam.processes()) >= 1
