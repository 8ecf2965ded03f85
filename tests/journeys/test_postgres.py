"""A server with PostgreSQL: connections, restarts, hangs, and missing tables."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import Serve
from tests.journeys.test_server import join
from tests.postgres import Postgres, postgres
from tests.processes import ROOT, RedisServer, Server, free_port, wait_until

DATABASE = "beam"
PASSWORD = "a-password-of-tests"
PAGES = 200
# A process has `max_concurrent_pages` + 1, 7 by default. A backend of PostgreSQL
# whose client has closed its connection is listed until it has exited, so a few more
# may show.
MOST_CONNECTIONS = 10
LIST = "/admin/rooms/room/"
SECRET = {"secret": "dev-secret"}
Manage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Postgres]:
    """A PostgreSQL with few connections, which each test leaves unchanged."""
    with postgres(connections=30) as server:
        yield server


@pytest.fixture
def empty(shared: Postgres) -> Iterator[Postgres]:
    """The same, with a database that has no tables."""
    shared.execute(f"CREATE DATABASE {DATABASE}")
    yield shared
    shared.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture
def migrated(empty: Postgres) -> Postgres:
    """The same, with all tables, an admin and an API key."""
    assert manage(empty, "migrate", "--verbosity", "0").returncode == 0
    command = ("createsuperuser", "--noinput", "--username", "root", "--email", "")
    done = manage(empty, *command, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    return empty


def environment(server: Postgres) -> dict[str, str]:
    """The environment of a server that uses it."""
    return {"DATABASE_URL": server.url(DATABASE), "DEBUG": "1", "REDIS_URL": ""}


def manage(
    server: Postgres, *command: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of `manage.py`."""
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "beam.settings"}
        | environment(server)
        | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@asynccontextmanager
async def logged_in(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that is logged in to the admin."""
    limits = httpx.Limits(max_connections=PAGES)
    async with httpx.AsyncClient(
        base_url=server.url, timeout=60, limits=limits
    ) as client:
        await client.get("/admin/login/")
        form = {
            "username": "root",
            "password": PASSWORD,
            "csrfmiddlewaretoken": client.cookies["beam_csrftoken"],
        }
        answer = await client.post("/admin/login/", data=form)
        assert answer.status_code == 302, answer.text
        yield client


@contextmanager
def watched(server: Postgres) -> Iterator[list[int]]:
    """The numbers of connections during a block, sampled all the time."""
    seen: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            seen.append(server.clients(DATABASE))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


async def statuses(client: httpx.AsyncClient, path: str, count: int) -> set[int]:
    """The status codes of `count` requests at once."""
    answers = await asyncio.gather(*(client.get(path) for _ in range(count)))
    return {answer.status_code for answer in answers}


async def test_pages_use_few_connections_and_keep_none(
    beam_server: Serve, migrated: Postgres
) -> None:
    server = beam_server(**environment(migrated))
    async with logged_in(server) as client:
        with watched(migrated) as seen:
            found = await statuses(client, LIST, PAGES)

    assert found == {200}
    assert max(seen) <= MOST_CONNECTIONS
    wait_until(lambda: migrated.clients(DATABASE) <= 2, "connections are closed", 2)


async def test_requests_with_an_invalid_cookie_use_few_connections(
    beam_server: Serve, migrated: Postgres
) -> None:
    server = beam_server(**environment(migrated))
    cookies = {"beam_sessionid": "x" * 32}
    limits = httpx.Limits(max_connections=PAGES)
    async with httpx.AsyncClient(
        base_url=server.url, cookies=cookies, timeout=60, limits=limits
    ) as client:
        with watched(migrated) as seen:
            found = await statuses(client, "/admin/", PAGES)

    assert found == {302}
    assert max(seen) <= MOST_CONNECTIONS
    wait_until(lambda: migrated.clients(DATABASE) <= 2, "connections are closed", 2)


async def test_clients_that_disconnect_leave_no_connection_open(
    beam_server: Serve, migrated: Postgres
) -> None:
    server = beam_server(**environment(migrated))
    async with logged_in(server) as client:
        with watched(migrated) as seen:
            for _ in range(5):
                asking = [asyncio.create_task(client.get(LIST)) for _ in range(40)]
                await asyncio.wait(asking, timeout=0.1)
                for each in asking:
                    each.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            assert (await client.get(LIST)).status_code == 200

    assert max(seen) <= MOST_CONNECTIONS
    wait_until(lambda: migrated.clients(DATABASE) <= 2, "connections are closed", 2)


def key_of(server: Postgres) -> dict[str, str]:
    """The header of a new API key."""
    done = manage(server, "beam_key", "create", "backend")
    return {"authorization": f"Bearer {done.stdout.strip()}"}


async def test_the_first_query_after_a_restart_succeeds(
    beam_server: Serve, migrated: Postgres
) -> None:
    key = key_of(migrated)
    server = beam_server(**environment(migrated))
    async with logged_in(server) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/api/v1/health", headers=key)).status_code == 200

        migrated.stop()
        wait_until(
            lambda: httpx.get(f"{server.url}/readyz").status_code == 503, "unready", 3
        )
        # A key that was read before is still accepted.
        assert (await client.get("/api/v1/health", headers=key)).status_code == 200
        page = await client.get(LIST)
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        migrated.start()

        wait_until(
            lambda: httpx.get(f"{server.url}/readyz").status_code == 200, "ready", 3
        )
        assert (await client.get(LIST)).status_code == 200
        other = {"authorization": "Bearer beam_unknown"}
        assert (await client.get("/api/v1/health", headers=other)).status_code == 401


async def test_a_database_that_hangs_delays_nothing_else(
    beam_server: Serve, migrated: Postgres
) -> None:
    key = key_of(migrated)
    server = beam_server(**environment(migrated))
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    async with logged_in(server) as client:
        assert (await client.get("/api/v1/health", headers=key)).status_code == 200
        migrated.freeze()
        try:
            pages = [asyncio.create_task(client.get(LIST)) for _ in range(50)]
            ready = await client.get("/readyz")
            began = time.monotonic()
            live = await client.get("/healthz")
            known = await client.get("/api/v1/health", headers=key)
            took = time.monotonic() - began
            other = {"authorization": "Bearer beam_unknown"}
            unknown = await client.get("/api/v1/health", headers=other)
            threads = process.num_threads()
            some = await asyncio.gather(*pages[:8])
        finally:
            migrated.resume()
        rest = await asyncio.gather(*pages[8:])

        assert ready.status_code == 503
        assert (live.status_code, known.status_code) == (200, 200)
        assert took < 3
        assert unknown.status_code == 503
        # One for each page at work, and those of the event loop.
        assert threads < 30
        # After the time limit of a connection, while the database still hangs.
        assert {page.status_code for page in some} == {503}
        assert {page.status_code for page in rest} <= {200, 503}
        wait_until(
            lambda: httpx.get(f"{server.url}/readyz").status_code == 200, "ready", 5
        )
        assert (await client.get(LIST)).status_code == 200


def test_a_query_without_an_answer_is_aborted(migrated: Postgres) -> None:
    statement = (
        "import os, signal\n"
        "from django.db import connection, OperationalError\n"
        "cursor = connection.cursor()\n"
        "connection.connection.answer_seconds = 0.2\n"
        "cursor.execute('SELECT pg_backend_pid()')\n"
        "try:\n"
        "    cursor.execute('SELECT pg_sleep(60)')\n"
        "except OperationalError as error:\n"
        "    print(error)\n"
        "connection.close()\n"
        "connection.cursor().execute('SELECT 1')\n"
        "print(connection.settings_dict['OPTIONS']['answer_seconds'])\n"
    )

    done = manage(migrated, "shell", "-v", "0", "-c", statement)

    assert done.stdout.split("\n")[:2] == ["no answer within 0.2 s", "15"], done.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
def test_without_migrations_the_server_does_not_start(
    empty: Postgres, shared_redis: RedisServer, processes: str
) -> None:
    env = {"REDIS_URL": shared_redis.url} if processes == "2" else {}

    port = str(free_port())
    command = ("beam_serve", "--port", port, "--processes", processes)
    done = manage(empty, *command, **env)

    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("CommandError: The database is not migrated")
    assert line.endswith("run manage.py migrate.")


def test_without_migrations_another_server_reports_it(
    beam_server: Serve, empty: Postgres
) -> None:
    server = beam_server("daphne", **environment(empty))
    key = {"authorization": "Bearer beam_x"}

    ready = httpx.get(f"{server.url}/readyz")
    called = httpx.get(f"{server.url}/api/v1/health", headers=key)
    page = httpx.get(f"{server.url}/admin/", cookies={"beam_sessionid": "x" * 32})

    for answer in (ready, called, page):
        assert answer.status_code == 503
        assert "run manage.py migrate" in answer.text

    assert manage(empty, "migrate", "--verbosity", "0").returncode == 0
    wait_until(lambda: httpx.get(f"{server.url}/readyz").status_code == 200, "ready", 5)


def test_the_server_starts_with_an_unreachable_database(
    beam_server: Serve, tmp_path: Path
) -> None:
    server = beam_server(DATABASE_URL="postgres://beam@127.0.0.1:1/beam")

    text = "(postgresql beam at 127.0.0.1:1) cannot be used: connection failed"
    assert text in server.text()
    assert "Start it, or correct DATABASE_URL." in server.text()
    assert httpx.get(f"{server.url}/readyz").status_code == 503
    answer = httpx.get(f"{server.url}/api/v1/health", headers=SECRET)
    assert answer.status_code == 200


async def test_rooms_that_existed_briefly_leave_no_rows(
    beam_server: Serve, migrated: Postgres
) -> None:
    server = beam_server(**environment(migrated), BEAM_ROOM_ROW_SECONDS="2")
    short = [await join(server, f"u{n}", f"short-{n}") for n in range(50)]
    for client in short:
        await client.close()
    staying = await join(server, "ada", "long")

    def rows() -> list[tuple[str]]:
        return migrated.execute("SELECT room_id FROM rooms_room", DATABASE)

    # Its room is the newest: the others were checked before.
    await asyncio.to_thread(wait_until, rows, "a row is written")
    assert rows() == [("long",)]
    await staying.close()
