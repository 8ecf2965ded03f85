"""`beam_serve --processes N`: several servers behind one socket."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.conftest import Serve
from tests.journeys.test_server import close_code, event, join
from tests.processes import ROOT, RedisServer, Server, needs_ipv6, wait_until
from tests.rooms.api.test_prometheus import SECRET, values

pytestmark = pytest.mark.redis


@pytest.fixture
def server(beam_server: Serve, shared_redis: RedisServer) -> Server:
    """Two processes over Redis."""
    server = beam_server("two processes", REDIS_URL=shared_redis.url)
    wait_until(lambda: "All 2 processes listen" in server.text(), "both listen")
    return server


def workers(server: Server) -> set[int]:
    """The pids of the server's processes."""
    assert server.process is not None
    return {child.pid for child in psutil.Process(server.process.pid).children()}


def test_several_processes_without_redis_are_refused() -> None:
    command = [sys.executable, "manage.py", "beam_serve", "--processes", "2"]
    env = os.environ | {"DEBUG": "1", "REDIS_URL": ""}

    refused = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=20
    )

    assert refused.returncode == 1
    assert "--processes 2 needs REDIS_URL" in refused.stderr


async def test_members_meet_across_the_processes(server: Server) -> None:
    clients = [await join(server, f"u{n}", "met") for n in range(20)]

    await clients[0].send('["1","2","room:met","new_msg",{"broadcast":true}]')

    for client in clients[1:]:
        assert (await event(client, "new_msg"))["from"]["user_id"] == "u0"
    for client in clients:
        await client.close()


def test_each_process_reports_how_many_there_should_be(server: Server) -> None:
    text = httpx.get(f"{server.url}/metrics", headers=SECRET).text

    assert set(values(text)["beam_processes"].values()) == {2}


async def test_a_killed_process_is_started_again(server: Server) -> None:
    before = workers(server)
    killed = min(before)

    os.kill(killed, signal.SIGKILL)

    await asyncio.to_thread(
        wait_until, lambda: "was restarted" in server.text(), "the process is restarted"
    )
    assert f"(pid {killed}) was ended by SIGKILL" in server.text()
    after = workers(server)
    assert len(after) == 2
    assert after & before == before - {killed}


async def test_sigterm_drains_every_process(server: Server) -> None:
    clients = [await join(server, f"u{n}", "drained") for n in range(20)]

    codes = asyncio.gather(*map(close_code, clients))
    status = await asyncio.to_thread(server.stop)

    assert status == 0
    assert set(await codes) == {1012}
    assert "Traceback" not in server.text()


async def test_sighup_replaces_the_processes_one_by_one(server: Server) -> None:
    before = workers(server)
    clients = [await join(server, f"u{n}", "rolled") for n in range(10)]
    codes = asyncio.gather(*map(close_code, clients))
    assert server.process is not None

    server.process.send_signal(signal.SIGHUP)

    assert set(await codes) == {1012}
    await asyncio.to_thread(
        wait_until, lambda: server.text().count("was replaced") == 2, "both replaced"
    )
    assert len(workers(server)) == 2
    assert not workers(server) & before
    again = await join(server, "u0", "rolled")
    await again.close()


def statistics_of_old(server: Server) -> dict[str, float]:
    """The statistics of processes that drain or have just drained, as sums."""
    text = httpx.get(f"{server.url}/metrics", headers=SECRET).text
    return {
        name: found.get("1-old", 0) + found.get("2-old", 0)
        for name, found in values(text).items()
    }


async def test_a_process_that_drains_is_reported_until_its_last_connection_ends(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    env = {"BEAM_DRAIN_BATCH": "1", "BEAM_DRAIN_SECONDS": "4"}
    server = beam_server("two processes", REDIS_URL=shared_redis.url, **env)
    clients = [await join(server, f"u{n}", "drained") for n in range(20)]
    codes = asyncio.gather(*(close_code(client, 20) for client in clients))
    reports: list[dict[str, float]] = []

    def is_replaced() -> bool:
        reports.append(statistics_of_old(server))
        return server.text().count("was replaced") == 2

    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(wait_until, is_replaced, "both are replaced")

    assert set(await codes) == {1012}
    assert max(each["beam_draining"] for each in reports) == 2
    assert max(each["beam_connections"] for each in reports) > 1
    last = statistics_of_old(server)
    assert last["beam_connections"] == 0
    assert last["beam_connections_closed_total"] == 20


@pytest.mark.parametrize(
    ("host", "peer"), [("::1", "::1"), ("::ffff:127.0.0.1", "127.0.0.1")]
)
def test_several_processes_serve_on_ipv6(
    beam_server: Serve, shared_redis: RedisServer, host: str, peer: str
) -> None:
    needs_ipv6()
    env = {"HOST": host, "REDIS_URL": shared_redis.url, "BEAM_METRICS_ALLOW": peer}

    server = beam_server("two processes", **env)

    assert f"Listening on {server.url}\n" in server.text()
    assert httpx.get(f"{server.url}/metrics").status_code == 200


async def test_the_processes_drain_when_the_supervisor_ends(server: Server) -> None:
    client = await join(server, "ada", "orphaned")
    orphans = [psutil.Process(pid) for pid in workers(server)]

    server.kill()

    assert await close_code(client) == 1012
    gone, left = await asyncio.to_thread(psutil.wait_procs, orphans, 10)
    assert len(gone) == 2
    assert not left
