"""Health, readiness, and the list of processes."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam import database
from beam.asgi import application
from rooms.messaging.connections import connections
from tests.clients import connected

SECRET = {"secret": django_settings.API_SECRETS[0]}

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


async def test_health_answers_with_an_empty_body(async_client: AsyncClient) -> None:
    answer = await async_client.get("/api/v1/health", headers=SECRET)

    assert (answer.status_code, answer.content) == (200, b"")


async def test_healthz_is_open(async_client: AsyncClient) -> None:
    answer = await async_client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_names_every_check(async_client: AsyncClient) -> None:
    answer = await async_client.get("/readyz")

    checks = {"database": "ok", "server": "ok", "hub": "ok"}
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": checks}


async def test_readyz_names_what_fails(
    async_client: AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://127.0.0.1:1/0"}
    connections().drain()

    answer = await async_client.get("/readyz")

    body = answer.json()
    assert answer.status_code == 503
    assert body["status"] == "unready"
    assert body["checks"]["server"] == "draining"
    assert body["checks"]["redis"] == "ConnectionError"
    assert body["checks"]["hub"] == "ok"


async def test_readyz_reports_an_unavailable_database(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def cursor(self) -> Any:
            raise OperationalError("no")

    monkeypatch.setattr(database, "connection", Away())
    monkeypatch.setattr(database, "checks", database.Checks(is_migrated=True))

    answer = await async_client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "OperationalError"


async def test_readyz_does_not_wait_for_a_database_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    class Hanging:
        def cursor(self) -> Any:
            answered.wait(10)
            raise OperationalError("at last")

    monkeypatch.setattr(database, "connection", Hanging())
    monkeypatch.setattr(database, "SECONDS", 0.05)
    monkeypatch.setattr(database, "checks", database.Checks(is_migrated=True))

    # Through the ASGI application: Django's test client would wait for the thread.
    server = httpx.ASGITransport(application)
    try:
        async with (
            httpx.AsyncClient(transport=server, base_url="http://beam") as http,
            asyncio.timeout(5),
        ):
            # The second request waits for the thread of the first one.
            answers = [await http.get("/readyz") for _ in range(2)]
    finally:
        answered.set()

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "TimeoutError"
        assert answer.json()["checks"]["hub"] == "ok"


async def test_readyz_reports_missing_migrations(
    async_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    clock: Callable[[float], None],
) -> None:
    missing, looks = ["rooms.0001"], 0

    def unapplied() -> list[str]:
        nonlocal looks
        looks += 1
        return missing

    monkeypatch.setattr(database, "unapplied", unapplied)
    monkeypatch.setattr(database, "checks", database.Checks())

    answers = [await async_client.get("/readyz") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    reported = answers[0].json()["checks"]["database"]
    assert reported == "not migrated: run manage.py migrate"
    # Simultaneous requests cause one check.
    assert looks == 1

    missing.clear()
    for _ in range(3):
        clock(database.KEPT_SECONDS + 0.1)
        assert (await async_client.get("/readyz")).status_code == 200
    assert looks == 2


PROCESSES = "/api/v1/processes"


async def test_a_process_describes_itself(async_client: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("one")
    await ada.join("two")

    answer = await async_client.get(PROCESSES, headers=SECRET)

    assert answer.status_code == 200
    [process] = answer.json()["processes"]
    assert 0 <= time.time() - process.pop("started") < 3_600
    assert process == {
        "id": "local",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "sockets": 1,
        "rooms": 2,
    }


async def test_the_list_of_processes_needs_the_secret(
    async_client: AsyncClient,
) -> None:
    for headers in ({}, {"secret": "wrong"}):
        answer = await async_client.get(PROCESSES, headers=headers)

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


async def test_the_list_of_processes_is_unavailable_without_redis(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://127.0.0.1:1/0"}

    answer = await async_client.get(PROCESSES, headers=SECRET)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
