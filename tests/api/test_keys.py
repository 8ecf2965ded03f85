"""API keys: made, known, refused, with scopes; and the shared secrets."""

from __future__ import annotations

import time
from io import StringIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam import metrics
from rooms import keys
from rooms.models import ApiKey

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]

create = sync_to_async(keys.create)
revoke = sync_to_async(keys.revoke)


@pytest.fixture(autouse=True)
def fresh_keyring() -> None:
    """Nothing is known from other tests."""
    keys.keyring.forget()


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


async def get(http: AsyncClient, key: str, path: str = "rooms") -> Any:
    """GET with a key."""
    return await http.get(f"/api/v1/{path}", headers=bearer(key))


async def test_a_key_does_what_its_scopes_say(async_client: AsyncClient) -> None:
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


async def test_only_the_hash_of_a_key_is_kept() -> None:
    key = await create("one")

    kept = await ApiKey.objects.aget(name="one")

    assert key.startswith("beam_")
    assert key not in str(vars(kept))
    assert len(kept.hashed) == 64


@pytest.mark.parametrize("key", ["", "beam_", "beam_x", "\udcff"])
async def test_what_is_no_key_is_refused(async_client: AsyncClient, key: str) -> None:
    await create("one")
    refused = metrics.API_REFUSED.value

    caller = await keys.keyring.find(key)

    assert caller is None
    if key.isascii():
        assert (await get(async_client, key)).status_code == 401
        assert metrics.API_REFUSED.value == refused + 1


async def test_a_revoked_key_is_refused_once_what_was_looked_up_is_old(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await create("one")
    assert (await get(async_client, key)).status_code == 200

    assert await revoke("one")
    assert not await revoke("one")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + keys.KEPT_SECONDS + 1)

    assert (await get(async_client, key)).status_code == 401


async def test_a_key_is_looked_up_once_in_a_while(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await create("one")
    looks: list[str] = []
    look_up = keys._look_up

    def counted(hashed: str) -> Any:
        looks.append(hashed)
        return look_up(hashed)

    monkeypatch.setattr(keys, "_look_up", counted)

    for _ in range(5):
        await get(async_client, key)

    assert len(looks) == 1


async def test_the_last_use_is_written_without_a_write_a_request() -> None:
    key = await create("one")
    ring = keys.Keyring()
    await ring.find(key)
    assert (await ApiKey.objects.aget(name="one")).last_used is None

    await ring.write()

    assert (await ApiKey.objects.aget(name="one")).last_used is not None


async def test_every_shared_secret_is_good(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"api_secrets": ("new", "old")}

    codes = [
        (await async_client.get("/api/v1/health", headers={"secret": s})).status_code
        for s in ("new", "old", "older")
    ]

    assert codes == [200, 200, 401]


def run(*args: str) -> tuple[str, str]:
    """What a command printed, and what it said beside."""
    out, error = StringIO(), StringIO()
    call_command("beam_key", *args, stdout=out, stderr=error)
    return out.getvalue(), error.getvalue()


def test_the_command_prints_a_key_once() -> None:
    out, said = run("create", "backend", "--scopes", "events:write, rooms:read")

    [key] = out.splitlines()
    found = ApiKey.objects.get(name="backend")
    assert found.scopes == ["events:write", "rooms:read"]
    assert keys._hash(key) == found.hashed
    assert "not shown again" in said


def test_the_command_lists_and_revokes() -> None:
    run("create", "backend")
    listed, _ = run("list")
    assert listed.split("\t")[:2] == ["backend", "in force"]
    assert listed.split("\t")[2] == "events:write,metrics:read,rooms:manage,rooms:read"

    _, said = run("revoke", "backend")

    assert "Revoked" in said
    assert run("list")[0].split("\t")[:2] == ["backend", "revoked"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("create", "taken"), "already"),
        (("create", "new", "--scopes", "everything"), "no such scope: everything"),
        (("revoke", "nobody"), "no key 'nobody'"),
    ],
)
def test_the_command_says_what_is_wrong(args: tuple[str, ...], says: str) -> None:
    run("create", "taken")

    with pytest.raises(CommandError, match=says):
        run(*args)
