"""Lists rooms and describes one: in process and over Redis."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from rooms.auth import jwt_tokens
from tests.clients import connected
from tests.rooms.api.calls import SECRET, at, get

pytestmark = [
    pytest.mark.usefixtures("own"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize(
        "backend",
        ["in process", pytest.param("redis", marks=pytest.mark.redis)],
        indirect=True,
    ),
]


async def test_rooms_are_listed_by_pages(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    clients = await connected("ada", "bob")
    names = [f"{room}{n}" for n in range(5)]
    for name in names:
        await clients[0].join(name)
    await clients[1].join(names[2])
    await clients[0].ask(f"room:{names[2]}", "phx_leave", {})
    found: list[Any] = []
    cursor: str | None = ""

    while cursor is not None:
        page = (
            await get(async_client, "rooms", prefix=room, limit=2, cursor=cursor)
        ).json()
        assert len(page["rooms"]) <= 2
        found += page["rooms"]
        cursor = page["cursor"]

    one = [{"room_id": name, "sessions": 1, "users": 1} for name in names]
    assert found == one
    await clients[1].ask(f"room:{names[2]}", "phx_leave", {})
    listed = (await get(async_client, "rooms", prefix=room)).json()["rooms"]
    assert [entry["room_id"] for entry in listed] == [*names[:2], *names[3:]]


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 1_001}, {"limit": "x"}, {"cursor": "/w=="}]
)
async def test_an_invalid_query_of_the_list_is_a_400(
    backend: str, async_client: AsyncClient, query: dict[str, Any]
) -> None:
    answer = await get(async_client, "rooms", **query)

    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(query)


async def test_a_room_is_described_with_its_members(
    backend: str, async_client: AsyncClient, room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_policies": {"*": {"capacity": 5}}}
    ada, ada2, bob = await connected("ada", "ada", "bob")
    await ada.join(room, meta={"mood": "good"})
    await ada2.join(room, session_id="2")
    await bob.join(room)

    answer = await get(async_client, at(room))

    assert answer.json() == {
        "room_id": room,
        "sessions": 3,
        "users": 2,
        "open": True,
        "limits": {
            "capacity": 5,
            "presence_grace": 0.0,
            "user_sessions": 100,
            "presence_bytes": 16_777_216,
            "history": 0,
        },
    }
    members = (await get(async_client, at(room, "/presence"))).json()["members"]
    assert sorted(member["session"] for member in members) == [
        "ada:1",
        "ada:2",
        "bob:1",
    ]
    [first] = [member for member in members if member["session"] == "ada:1"]
    assert first["user_id"] == "ada"
    assert first["metas"][0]["mood"] == "good"


async def test_a_room_without_members_is_open_and_empty(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    answer = (await get(async_client, at(room))).json()
    assert (answer["sessions"], answer["open"]) == (0, True)
    assert (await get(async_client, at(room, "/presence"))).json()["members"] == []


async def test_no_room_keeps_history(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    answer = await get(async_client, at(room, "/history"))

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "history_off"


@pytest.mark.parametrize("what", ["", "/presence", "/history"])
async def test_an_invalid_id_is_a_400(
    backend: str, async_client: AsyncClient, what: str
) -> None:
    answer = await get(async_client, at("x" * 201, what))

    assert answer.status_code == 400
    assert "room_id" in answer.json()["error"]["fields"]


async def test_a_full_room_refuses_joins(
    backend: str, async_client: AsyncClient, room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_capacity": 1}
    ada, bob = await connected("ada", "bob")
    await ada.join(room)

    refused = await bob.try_join(room)

    assert refused == {"status": "error", "response": {"reason": "room_full"}}


async def test_a_capacity_counts_only_members_that_are_present(
    backend: str, async_client: AsyncClient, room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_capacity": 1}
    ada, bob, *audience = await connected("ada", "bob", "eve", "kim")
    watch = jwt_tokens.mint_room(room, 60, can=["push"])
    first = await audience[0].try_join(room, room_token=watch)
    assert first["status"] == "ok"
    await ada.join(room)

    refused = await bob.try_join(room)
    second = await audience[1].try_join(room, room_token=watch)

    assert refused["response"] == {"reason": "room_full"}
    assert second["status"] == "ok"
    found = (await get(async_client, at(room))).json()
    assert (found["sessions"], found["users"]) == (1, 1)
    assert found["limits"]["capacity"] == 1
    assert list(await audience[1].event("presence_state")) == ["ada:1"]
    # The place is free again when ada is not present.
    await ada.close()
    await bob.join(room)


REQUESTS = [
    ("GET", "rooms"),
    ("GET", "rooms/r"),
    ("GET", "rooms/r/presence"),
    ("GET", "rooms/r/history"),
    ("POST", "rooms/r/remove"),
    ("POST", "rooms/r/close"),
    ("POST", "rooms/r/open"),
    ("POST", "users/u/disconnect"),
]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_every_request_needs_the_secret(
    backend: str, async_client: AsyncClient, method: str, path: str
) -> None:
    for headers in ({}, {"secret": "wrong"}, {"Authorization": "Bearer beam_x"}):
        answer = await async_client.generic(method, f"/api/v1/{path}", headers=headers)

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_another_method_is_a_405(
    backend: str, async_client: AsyncClient, method: str, path: str
) -> None:
    other = "DELETE" if method == "GET" else "GET"

    answer = await async_client.generic(other, f"/api/v1/{path}", headers=SECRET)

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"
