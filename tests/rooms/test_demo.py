"""The demo page and its tokens."""

from __future__ import annotations

import json

import pytest
from django.test import AsyncClient, RequestFactory

from rooms import demo

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


async def test_the_demo_does_not_exist_in_production(async_client: AsyncClient) -> None:
    for path in ("/", "/demo/token?user_id=ada&room_id=r"):
        assert (await async_client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?user_id=ada&room_id=é/x", 200),
        ("?user_id=ada&room_id=", 400),
        ("?room_id=r", 400),
    ],
)
async def test_the_demo_makes_tokens_in_development(
    rf: RequestFactory, query: str, status: int
) -> None:
    answer = demo.token(rf.get(f"/demo/token{query}"))

    assert answer.status_code == status
    if status == 200:
        assert set(json.loads(answer.content)) == {"user_token", "room_token"}
