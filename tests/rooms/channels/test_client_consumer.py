"""Limits: connections of a user and of a client IP, and joins."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.messaging.connections import connections
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")


async def test_the_connections_of_a_user_are_limited(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_user_connections": 2}
    limited = metrics.CONNECTIONS_LIMITED.value
    first, _ = await connected("ada", "ada")

    assert await Client("ada").is_refused()
    assert not await Client("bob").is_refused()
    assert metrics.CONNECTIONS_LIMITED.value == limited + 1
    await first.close()
    assert not await Client("ada").is_refused()


async def test_the_connections_of_a_client_ip_are_limited(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_ip_connections": 2, "trusted_proxies": 1}

    def come(user: str, *hops: str) -> Client:
        client = Client(user)
        header = (b"x-forwarded-for", ", ".join(hops).encode())
        client.wire.scope["headers"] = [header]
        client.wire.scope["client"] = ("10.0.0.1", 1)
        return client

    here = [await come(user, "198.51.100.7").connect() for user in ("a", "b")]

    # An address that the client sends itself is not trusted.
    assert await come("c", "203.0.113.9", "198.51.100.7").is_refused()
    assert not await come("d", "203.0.113.9").is_refused()
    assert len(here) == 2


async def test_each_connection_is_counted_once_and_until_its_end() -> None:
    before = len(connections())
    clients = await connected("a", "a", "b")
    assert len(connections()) == before + 3

    for client in clients:
        await client.close()

    assert len(connections()) == before
    assert not connections()._by_address


async def test_joins_above_the_rate_are_refused_with_a_time_to_retry(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"join_rate": 0.5, "join_burst": 2}
    limited = metrics.JOINS_LIMITED.value
    [ada] = await connected("ada")
    await ada.join("a")
    await ada.join("b")

    refused = (await ada.try_join("c"))["response"]

    assert refused["reason"] == "rate_limited"
    assert 0 < refused["retry_after_ms"] <= 2_000
    assert metrics.JOINS_LIMITED.value == limited + 1
    reply = await ada.ask("room:a", "new_msg", {"broadcast": True})
    assert reply["status"] == "ok"
