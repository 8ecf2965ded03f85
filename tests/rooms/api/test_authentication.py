"""Authentication: API keys with scopes, and the shared secrets."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import api_keys
from tests.keys import bearer, create, get

pytestmark = [
    pytest.mark.usefixtures("running_hub", "fresh_keyring"),
    pytest.mark.django_db(transaction=True),
]


async def test_a_key_may_do_what_its_scopes_allow(async_client: AsyncClient) -> None:
    key = await create("reader", ["rooms:read"])
    forbidden = metrics.API_FORBIDDEN.value

    assert (await get(async_client, key)).status_code == 200
    answer = await async_client.post(
        "/api/v1/rooms/r/close", {}, "application/json", headers=bearer(key)
    )

    assert answer.status_code == 403
    error = answer.json()["error"]
    assert error["code"] == "forbidden"
    assert "rooms:manage" in error["message"]
    assert metrics.API_FORBIDDEN.value == forbidden + 1


@pytest.mark.parametrize("key", ["", "beam_", "beam_x", "\udcff"])
async def test_an_invalid_key_is_refused(async_client: AsyncClient, key: str) -> None:
    await create("one")
    refused = metrics.API_UNAUTHORIZED.value

    caller = await api_keys.keyring.find(key)

    assert caller is None
    if key.isascii():
        assert (await get(async_client, key)).status_code == 401
        assert metrics.API_UNAUTHORIZED.value == refused + 1


async def test_every_shared_secret_is_accepted(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"api_secrets": ("new", "old")}

    codes = [
        (await async_client.get("/api/v1/health", headers={"secret": s})).status_code
        for s in ("new", "old", "older")
    ]

    assert codes == [200, 200, 401]


async def test_requests_above_the_rate_of_their_key_are_a_429(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"api_rate": 0.5, "api_burst": 2}
    key = await create("other")

    async def ask(**headers: Any) -> Any:
        return await async_client.get("/api/v1/health", headers=headers)

    secret = {"secret": django_settings.API_SECRETS[0]}
    codes = [(await ask(**secret)).status_code for _ in range(2)]
    refused = await ask(**secret)

    assert codes == [200, 200]
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limited"
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert (await ask(Authorization=f"Bearer {key}")).status_code == 200
