"""A repeated request is handled once, in process and over Redis."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any

import pytest
from django.test import AsyncClient

from beam import redis
from rooms.api import events, idempotency, idempotency_store
from rooms.messaging import publisher
from tests.clients import connected
from tests.rooms.api.calls import SECRET

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
def key() -> str:
    """A key that was not used before."""
    return secrets.token_hex(8)


async def send(http: AsyncClient, key: str, room: str, n: int = 1) -> Any:
    """Send a batch of one event with an idempotency key."""
    body = {"events": [{"room_id": room, "event": "changed", "payload": {"n": n}}]}
    return await http.post(
        "/api/v1/events",
        json.dumps(body),
        "application/json",
        headers=SECRET | {"Idempotency-Key": key},
    )


async def test_a_repeated_request_gets_the_same_answer_and_is_handled_once(
    async_client: AsyncClient, key: str
) -> None:
    [ada] = await connected("ada")
    await ada.join(key)

    answers = [await send(async_client, key, key) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.json() for answer in answers] == [
        {"results": [{"status": "ok"}]}
    ] * 3
    assert await ada.event("changed") == {"n": 1}
    assert await ada.is_silent()


async def test_a_repeated_single_event_is_sent_once(
    async_client: AsyncClient, key: str
) -> None:
    [ada] = await connected("ada")
    await ada.join(key)

    async def push(n: int) -> Any:
        return await async_client.post(
            "/api/v1/push_room_event",
            json.dumps({"room_id": key, "event": "changed", "payload": {"n": n}}),
            "application/json",
            headers=SECRET | {"Idempotency-Key": key},
        )

    answers = [await push(1) for _ in range(3)]
    answers += await asyncio.gather(*(push(1) for _ in range(5)))

    assert {(a.status_code, a.content) for a in answers} == {(200, b"")}
    assert await ada.event("changed") == {"n": 1}
    assert await ada.is_silent()
    assert (await push(2)).status_code == 422


async def test_a_request_whose_answer_cannot_be_stored_is_answered(
    async_client: AsyncClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise redis.Unavailable

    for store in (idempotency_store.LocalStore, idempotency_store.RedisStore):
        monkeypatch.setattr(store, "put", fail)

    assert (await send(async_client, key, key)).status_code == 200


async def test_another_body_under_the_same_key_is_a_422(
    async_client: AsyncClient, key: str
) -> None:
    await send(async_client, key, key, 1)

    answer = await send(async_client, key, key, 2)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "idempotency_key_reused"


async def test_simultaneous_repetitions_are_handled_once(
    async_client: AsyncClient, key: str
) -> None:
    [ada] = await connected("ada")
    await ada.join(key)

    answers = await asyncio.gather(*(send(async_client, key, key) for _ in range(5)))

    assert {answer.status_code for answer in answers} == {200}
    assert await ada.event("changed") == {"n": 1}
    assert await ada.is_silent()


async def test_a_failed_request_can_be_repeated(
    async_client: AsyncClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise publisher.NotPublished

    with monkeypatch.context() as patch:
        patch.setattr(events, "publish_all", fail)
        assert (await send(async_client, key, key)).status_code == 503

    assert (await send(async_client, key, key)).status_code == 200


async def test_a_repetition_of_a_request_that_does_not_end_is_a_503(
    async_client: AsyncClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
    started, never = asyncio.Event(), asyncio.Event()

    async def hang(*_: Any) -> Any:
        started.set()
        await never.wait()

    monkeypatch.setattr(events, "publish_all", hang)
    first = asyncio.create_task(send(async_client, key, key))
    await started.wait()

    answer = await send(async_client, key, key)

    assert answer.status_code == 503
    first.cancel()


@pytest.mark.parametrize("bad", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(
    async_client: AsyncClient, bad: str
) -> None:
    answer = await send(async_client, bad, "r")

    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]["fields"]
