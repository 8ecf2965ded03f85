"""While Redis is away: every request of the API that needs it says so."""

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
async def away(backend: str, running_hub: Hub) -> AsyncIterator[None]:
    """A Redis that did not answer a moment ago."""
    redis.link().up = False
    yield
    redis.link().up = True


pytestmark = [
    pytest.mark.redis,
    pytest.mark.usefixtures("away"),
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
