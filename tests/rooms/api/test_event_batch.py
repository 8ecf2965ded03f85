"""Many events in one request."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import AsyncClient

from rooms.messaging import publisher
from tests.clients import connected

SECRET = {"secret": django_settings.API_SECRETS[0]}

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]

EVENTS = "/api/v1/events"


async def post_events(http: AsyncClient, *items: Any, **headers: str) -> Any:
    """POST a batch."""
    return await http.post(
        EVENTS,
        data=json.dumps({"events": items}),
        content_type="application/json",
        headers=headers or SECRET,
    )


async def test_a_batch_reaches_its_rooms_in_order(async_client: AsyncClient) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("a")
    await bob.join("b")

    answer = await post_events(
        async_client,
        {"room_id": "a", "event": "first", "payload": {"n": 1}},
        {"room_ids": ["a", "b"], "event": "second", "payload": {"n": 2}},
    )

    assert answer.status_code == 200
    assert answer.json() == {"results": [{"status": "ok"}, {"status": "ok"}]}
    assert (await ada.get())[3:] == ["first", {"n": 1}]
    assert (await ada.get())[3:] == ["second", {"n": 2}]
    assert (await bob.get())[3:] == ["second", {"n": 2}]


async def test_a_batch_can_include_and_exclude_members(
    async_client: AsyncClient,
) -> None:
    ada, bob, eve = await connected("ada", "bob", "eve")
    for client in (ada, bob, eve):
        await client.join("named")

    answer = await post_events(
        async_client,
        {"room_id": "named", "event": "some", "to": [{"user_id": "ada"}]},
        {"room_id": "named", "event": "rest", "except": [{"session": "ada:1"}]},
        {
            "room_id": "named",
            "event": "one",
            "to": [{"user_id": "ada"}, {"user_id": "bob"}],
            "except": [{"user_id": "ada"}],
        },
        {"room_id": "named", "event": "all"},
    )

    assert answer.status_code == 200
    received: dict[str, list[str]] = {}
    for name, client in {"ada": ada, "bob": bob, "eve": eve}.items():
        received[name] = []
        while "all" not in received[name]:
            received[name].append((await client.get())[3])
    assert [n for n in received["ada"] if n != "presence_diff"] == ["some", "all"]
    assert [n for n in received["bob"] if n != "presence_diff"] == [
        "rest",
        "one",
        "all",
    ]
    assert [n for n in received["eve"] if n != "presence_diff"] == ["rest", "all"]


async def test_invalid_items_of_a_batch_do_not_stop_the_others(
    async_client: AsyncClient,
) -> None:
    [ada] = await connected("ada")
    await ada.join("a")

    answer = await post_events(
        async_client,
        {"room_id": "a", "event": "phx_close"},
        {"room_id": "a", "event": "good"},
        7,
    )

    first, second, third = answer.json()["results"]
    assert answer.status_code == 200
    assert first["error"]["code"] == "invalid"
    assert "this name is reserved" in first["error"]["fields"]["event"][0]
    assert second == {"status": "ok"}
    assert third["status"] == "error"
    assert (await ada.get())[3] == "good"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "malformed"),
        ("[]", 400, "invalid"),
        ("{}", 400, "invalid"),
        ('{"events": []}', 400, "invalid"),
        ('{"events": {}}', 400, "invalid"),
        ('{"events": [{"room_ids": %s}]}' % (["a"] * 1_001), 400, "invalid"),
        ('{"events": [{"room_id": "a"}]}' + " " * 1_048_576, 413, "too_large"),
    ],
)
async def test_an_invalid_batch_is_refused_as_a_whole(
    async_client: AsyncClient, body: str, status: int, code: str
) -> None:
    answer = await async_client.post(
        EVENTS,
        data=body.replace("'", '"'),
        content_type="application/json",
        headers=SECRET,
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_batch_needs_the_secret(async_client: AsyncClient) -> None:
    answer = await post_events(async_client, {"room_id": "a"}, secret="wrong")

    assert answer.status_code == 401


async def test_a_batch_of_which_nothing_was_sent_is_answered_with_503(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(event: Any) -> Any:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(publisher.NotPublished())
        return failed

    monkeypatch.setattr(publisher, "publish", refuse)

    answer = await post_events(async_client, {"room_id": "a"}, {"room_id": "b"})
    mixed = await post_events(async_client, {"room_id": "a"}, {"room_id": ""})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
    codes = [result["error"]["code"] for result in mixed.json()["results"]]
    assert (mixed.status_code, codes) == (200, ["unavailable", "invalid"])
