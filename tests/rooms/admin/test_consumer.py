"""The WebSocket of admins: which users may open it, and when it is closed."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam.asgi import application
from beam.telemetry import metrics
from rooms.messaging import publisher
from rooms.messaging.connections import disconnect_event
from rooms.messaging.hub import hub
from rooms.monitoring import process_stats
from rooms.protocol.close_codes import Close
from tests.clients import connected
from tests.rooms.admin.conftest import AdminWith
from tests.rooms.admin.watcher import Watcher, watching

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


async def refused(http: AsyncClient, **options: str) -> bool:
    """Whether a connect is refused and counted."""
    before = metrics.REFUSED.value
    is_refused = await Watcher(http, **options).is_refused()
    return is_refused and metrics.REFUSED.value == before + 1


async def test_an_admin_that_may_not_view_rooms_is_refused(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    assert await refused(async_client)
    await async_client.aforce_login(await sync_to_async(admin_with)())
    assert await refused(async_client)


async def test_an_admin_that_may_view_rooms_can_watch(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    user = await sync_to_async(admin_with)("view_room")
    await async_client.aforce_login(user)
    await watching(async_client, "room:r")

    await User.objects.filter(pk=user.pk).aupdate(is_staff=False)
    assert await refused(async_client)


async def test_an_admin_that_may_change_rooms_can_watch(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    await async_client.aforce_login(await sync_to_async(admin_with)("change_room"))

    await watching(async_client, "room:r")
    assert (await async_client.get("/admin/live/")).status_code == 200


async def test_a_logout_closes_the_socket_of_its_session(admin: AsyncClient) -> None:
    eve = await watching(admin, "room:r")
    other = AsyncClient()
    await other.aforce_login(await User.objects.aget())
    other_page = await watching(other, "room:r")

    await admin.post("/admin/logout/")

    assert await eve.closed_with() == Close.GOING_AWAY
    assert (await other_page.ask("room:r", "room", {}))["status"] == "ok"


@pytest.mark.parametrize("lost", ["is_active", "is_staff", "permission", "password"])
async def test_a_socket_is_closed_when_its_user_may_no_longer_watch(
    async_client: AsyncClient,
    admin_with: AdminWith,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    monkeypatch.setattr("rooms.admin.consumer.RECHECK_SECONDS", 0.02)
    user = await sync_to_async(admin_with)("view_room")
    await async_client.aforce_login(user)
    eve = await watching(async_client, "room:r")
    before = metrics.CLOSED.value

    if lost == "permission":
        await user.user_permissions.aclear()
    elif lost == "password":
        user.set_password("another")
        await user.asave()
    else:
        await User.objects.filter(pk=user.pk).aupdate(**{lost: False})

    assert await eve.closed_with() == Close.GOING_AWAY
    # It is not counted: it is not a client.
    assert metrics.CLOSED.value == before


async def test_a_user_that_may_no_longer_watch_joins_nothing(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    user = await sync_to_async(admin_with)("view_room")
    await async_client.aforce_login(user)
    eve = await watching(async_client, "room:r")
    await user.user_permissions.aclear()

    await eve.send("1", "1", "room:other", "phx_join", {})

    assert await eve.closed_with() == Close.GOING_AWAY
    assert hub().size("room:other") == 0


async def test_admins_that_watch_are_not_counted(
    admin: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"max_user_connections": 1}
    before = process_stats.current()

    eve, _other = [await watching(admin, f"room:{name}") for name in "ab"]
    await eve.ask("room:a", "room", {})

    after = process_stats.current()
    for name in ("connections", "members", "topics"):
        assert after.gauges[name] == before.gauges[name], name
    for name in ("connections_opened", "frames_in", "joins"):
        assert after.counters[name] == before.counters[name], name


async def test_disconnecting_a_user_with_the_name_of_an_admin_spares_the_admin(
    admin: AsyncClient,
) -> None:
    eve = await watching(admin, "room:r")
    [client] = await connected("admin:root")

    await publisher.published(disconnect_event("admin:root"))

    assert await client.closed_with() == Close.GOING_AWAY
    assert (await eve.ask("room:r", "room", {}))["status"] == "ok"


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://beam.evil",
        "https://beam",
        "http://beam:9999",
        "",
    ],
)
async def test_pages_of_other_sites_cannot_use_an_admins_cookie(
    admin: AsyncClient, origin: str
) -> None:
    assert await refused(admin, origin=origin)


async def test_a_user_token_does_not_open_the_socket_of_admins(
    async_client: AsyncClient,
) -> None:
    [ada] = await connected("ada")
    query: Any = ada.wire.scope["query_string"]
    wire = WebsocketCommunicator(
        application, f"/admin/live/websocket?{query.decode()}", [(b"host", b"beam")]
    )

    assert (await wire.connect())[0] is False


@pytest.mark.parametrize("topic", ["room:", "test:x", "$beam", "room:a\nb"])
async def test_other_topics_cannot_be_joined(admin: AsyncClient, topic: str) -> None:
    eve = Watcher(admin)
    await eve.connect()

    assert (await eve.ask(topic, "phx_join", {}))["status"] == "error"
