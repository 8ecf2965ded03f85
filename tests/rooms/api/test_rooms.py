"""Backends look at rooms and steer them: every request, in process and over Redis."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from presence import admission
from presence.factory import tracker
from rooms.auth import jwt_tokens
from rooms.messaging.background_tasks import background_tasks
from rooms.models import Room
from rooms.records import closed_rooms
from tests.clients import Client, connected

SECRET = {"secret": django_settings.API_SECRETS[0]}

pytestmark = [
    pytest.mark.usefixtures("own"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize(
        "backend",
        ["in process", pytest.param("redis", marks=pytest.mark.redis)],
        indirect=True,
    ),
]


@pytest.fixture
def room(backend: str) -> str:
    """A room of the test's own, with characters that need escaping in a path."""
    return f"{secrets.token_hex(4)} é 100%/x"


async def get(http: AsyncClient, path: str, **query: Any) -> Any:
    """GET with the secret."""
    return await http.get(f"/api/v1/{path}", query, headers=SECRET)


async def post(http: AsyncClient, path: str, body: Any = None) -> Any:
    """POST JSON with the secret."""
    data = json.dumps({} if body is None else body)
    return await http.post(
        f"/api/v1/{path}", data, content_type="application/json", headers=SECRET
    )


def at(room: str, what: str = "") -> str:
    """The path of a room, as `beam.asgi` hands it on."""
    # The test client decodes a path once.
    return f"rooms/{quote(quote(room, safe=''), safe='')}{what}"


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
async def test_a_list_asked_for_wrongly_is_a_400(
    backend: str, async_client: AsyncClient, query: dict[str, Any]
) -> None:
    answer = await get(async_client, "rooms", **query)

    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(query)


async def test_a_room_and_who_is_in_it(
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


async def test_a_room_nobody_is_in_is_open_and_empty(
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
async def test_an_id_that_is_none_is_a_400(
    backend: str, async_client: AsyncClient, what: str
) -> None:
    answer = await get(async_client, at("x" * 201, what))

    assert answer.status_code == 400
    assert "room_id" in answer.json()["error"]["fields"]


async def ended(client: Client, room: str) -> str:
    """Why a member was removed; its channel is closed then."""
    reason: str = (await client.event("beam_removed"))["reason"]
    while (await client.get())[3] != "phx_close":
        pass
    return reason


async def test_a_user_is_removed_with_all_sessions_and_kept_out(
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


async def test_a_session_is_removed_alone_and_may_come_back(
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
async def test_a_removal_that_says_nothing_useful_is_a_400(
    backend: str, async_client: AsyncClient, body: Any, field: str
) -> None:
    answer = await post(async_client, "rooms/r/remove", body)

    assert answer.status_code == 400
    assert field in answer.json()["error"]["fields"]


async def test_a_body_that_is_no_object_is_a_400(
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
    # Tried again, it is kept.
    assert (await post(async_client, at(room, "/close"))).status_code == 200
    assert await Room.objects.filter(room_id=room, closed=True).acount() == 1


async def test_who_lost_its_connection_is_not_left_in_a_closed_room(
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


async def test_a_closed_room_stays_closed_where_its_gate_is_lost(
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


async def test_who_is_joining_while_a_room_is_closed_is_not_left_in(
    backend: str, async_client: AsyncClient, room: str
) -> None:
    clients = await connected(*(f"u{n}" for n in range(10)))

    joins = [client.try_join(room) for client in clients]
    await asyncio.gather(*joins, post(async_client, at(room, "/close")))

    deadline = asyncio.get_running_loop().time() + 5
    while (await get(async_client, at(room))).json()["sessions"]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_a_full_room_takes_nobody_more(
    backend: str, async_client: AsyncClient, room: str, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_capacity": 1}
    ada, bob = await connected("ada", "bob")
    await ada.join(room)

    refused = await bob.try_join(room)

    assert refused == {"status": "error", "response": {"reason": "room_full"}}


async def test_a_capacity_counts_who_is_present_and_no_audience(
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
    # The place is free again once nobody is present.
    await ada.close()
    await bob.join(room)


async def test_a_user_is_disconnected_everywhere(
    backend: str, async_client: AsyncClient
) -> None:
    clients = await connected("a/b", "a/b", "other")

    answer = await post(async_client, "users/a%252Fb/disconnect")

    assert (answer.status_code, answer.json()) == (200, {})
    assert [await client.closed_with() for client in clients[:2]] == [1001, 1001]
    assert await clients[2].is_silent()


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
async def test_nothing_is_done_without_the_secret(
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
