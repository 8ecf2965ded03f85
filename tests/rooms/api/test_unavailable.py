"""Every request of the API that needs Redis gets 503 while it is unavailable."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from django.test import AsyncClient

from beam import redis
from rooms.messaging.hub import Hub
from tests.rooms.api.calls import SECRET
from tests.rooms.api.test_rooms import REQUESTS

EVENTS = [("POST", "push_room_event"), ("POST", "events"), ("GET", "processes")]
BODY = {
    "user_id": "u",
    "room_id": "r",
    "events": [{"room_id": "r"}],
}


@pytest.fixture
async def unavailable(backend: str, running_hub: Hub) -> AsyncIterator[None]:
    """Redis did not answer the last call."""
    redis.link().up = False
    yield
    redis.link().up = True


pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("unavailable"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("backend", ["redis"], indirect=True),
]


@pytest.mark.parametrize(
    ("method", "path"), [one for one in REQUESTS + EVENTS if "history" not in one[1]]
)
async def test_a_request_that_needs_redis_is_a_503(
    async_client: AsyncClient, method: str, path: str
) -> None:
    body = {"room_id": "r"} if path == "push_room_event" else BODY

    answer = await async_client.generic(
        method,
        f"/api/v1/{path}",
        json.dumps(body),
        "application/json",
        headers=SECRET,
    )

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
