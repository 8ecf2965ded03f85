"""Removes members, closes rooms, disconnects users: in process and over Redis."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.db import OperationalError
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from presence import admission
from presence.factory import tracker
from rooms.messaging.background_tasks import background_tasks
from rooms.models import Room
from rooms.records import closed_rooms
from tests.clients import Client, connected
from tests.rooms.api.calls import at, get, post

pytestmark = [
    pytest.mark.usefixtures("own"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize(
        "backend",
        ["in process", pytest.param("redis", marks=pytest.mark.redis)],
        indirect=True,
    ),
]


async def ended(client: Client, room: str) -> str:
    """The reason of a removal; waits until the channel is closed."""
    reason: str = (await client.event("beam_removed"))["reason"]
    while (await client.get())[3] != "phx_close":
        pass
    return reason


async def test_a_user_is_removed_with_all_sessions_and_blocked(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    ada, ada2, bob = await connected("ada", "ada", "bob")
    await ada.join(room)
    await ada2.join(room, session_id="2")
    await bob.join(room)
    body = {"user_id": "ada", "reason": "rude", "block_seconds": 60}

    answer = await post(async_client, at(room, "/remove"), body)

    assert answer.json() == {"removed": ["ada:1", "ada:2"]}
    assert [await ended(client, room) for client in (ada, ada2)] == ["rude", "rude"]
    refused = await ada.try_join(room)
    assert refused["response"]["reason"] == "blocked"
    left: set[str] = set()
    while left != {"ada:1", "ada:2"}:
        left |= set((await bob.event("presence_diff"))["leaves"])


async def test_a_session_is_removed_alone_and_can_join_again(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    ada, ada2 = await connected("ada", "ada")
    await ada.join(room)
    await ada2.join(room, session_id="2")

    answer = await post(async_client, at(room, "/remove"), {"session": "ada:2"})

    assert answer.json() == {"removed": ["ada:2"]}
    assert await ended(ada2, room) == "removed"
    await ada2.join(room, session_id="2")
    assert (await get(async_client, at(room))).json()["sessions"] == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_id"),
        ({"user_id": "a", "session": "a:1"}, "user_id"),
        ({"user_id": "a", "block_seconds": -1}, "block_seconds"),
        ({"user_id": "a", "block_seconds": "long"}, "block_seconds"),
        ({"user_id": ["a"]}, "user_id"),
    ],
)
async def test_an_invalid_body_of_remove_is_a_400(
    backend: str, async_client: AsyncClient, body: Any, field: str
) -> None:
    answer = await post(async_client, "rooms/r/remove", body)

    assert answer.status_code == 400
    assert field in answer.json()["error"]["fields"]


async def test_a_body_that_is_not_an_object_is_a_400(
    backend: str, async_client: AsyncClient
) -> None:
    answer = await post(async_client, "rooms/r/remove", [1])

    assert answer.json()["error"]["code"] == "malformed"


async def test_a_closed_room_is_empty_until_it_is_opened(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)

    answer = await post(async_client, at(room, "/close"))

    assert answer.json() == {"removed": 2}
    assert [await ended(client, room) for client in (ada, bob)] == ["room_closed"] * 2
    refused = await ada.try_join(room)
    assert refused["response"]["reason"] == "room_closed"
    assert (await get(async_client, at(room))).json()["open"] is False
    opened = (await post(async_client, at(room, "/open"))).json()
    assert (opened["room_id"], opened["open"]) == (room, True)
    await ada.join(room)


async def test_a_room_is_emptied_while_the_database_is_unavailable(
    backend: str,
    async_client: AsyncClient,
    room: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    [ada] = await connected("ada")
    await ada.join(room)
    with monkeypatch.context() as unavailable:
        unavailable.setattr(closed_rooms, "_mark", fail)
        answer = await post(async_client, at(room, "/close"))

    assert answer.status_code == 503
    assert await ended(ada, room) == "room_closed"
    refused = await ada.try_join(room)
    assert refused["response"]["reason"] == "room_closed"
    # A second request stores it.
    assert (await post(async_client, at(room, "/close"))).status_code == 200
    assert await Room.objects.filter(room_id=room, closed=True).acount() == 1


async def test_a_member_that_lost_its_connection_is_removed_from_a_closed_room(
    async_client: AsyncClient, room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"presence_grace": 60.0}
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)
    await ada.close()
    await background_tasks().finish()

    answer = await post(async_client, at(room, "/close"))

    assert answer.json() == {"removed": 2}
    assert await ended(bob, room) == "room_closed"
    await background_tasks().finish()
    presence = await get(async_client, at(room, "/presence"))
    assert presence.json()["members"] == []


async def test_a_closed_room_is_closed_again_if_redis_lost_it(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    await post(async_client, at(room, "/close"))
    topic = f"room:{room}"
    await tracker().unban(topic, admission.EVERYONE)

    await closed_rooms.close_again()

    assert await tracker().is_banned(topic, admission.EVERYONE)
    assert await Room.objects.filter(room_id=room, closed=True).acount() == 1
    await post(async_client, at(room, "/open"))
    await closed_rooms.close_again()
    assert not await tracker().is_banned(topic, admission.EVERYONE)


async def test_members_that_join_while_a_room_is_closed_are_removed(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    clients = await connected(*(f"u{n}" for n in range(10)))

    joins = [client.try_join(room) for client in clients]
    await asyncio.gather(*joins, post(async_client, at(room, "/close")))

    deadline = asyncio.get_running_loop().time() + 5
    while (await get(async_client, at(room))).json()["sessions"]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_user_is_disconnected_everywhere(
    backend: str, async_client: AsyncClient
) -> None:
    clients = await connected("a/b", "a/b", "other")

    answer = await post(async_client, "users/a%252Fb/disconnect")

    assert (answer.status_code, answer.json()) == (200, {})
    assert [await client.closed_with() for client in clients[:2]] == [1001, 1001]
    assert await clients[2].is_silent()
