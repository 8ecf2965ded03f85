"""Beam runs on every kind of Redis that the documentation lists."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis
import trustme

from tests.conftest import Serve
from tests.journeys.test_cluster import QUICK, SECRET, enter
from tests.processes import (
    ROOT,
    RedisServer,
    find_old_redis,
    find_redis,
    find_valkey,
    free_port,
    redis_server,
    wait_until,
)

pytestmark = pytest.mark.redis

Start = Callable[..., RedisServer]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(binary, **options)` starts a server; all end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(
            redis_server(*args, **options)
        )


async def assert_works(serve: Serve, url: str) -> None:
    """Check presence, events and the end of a dead process, with two processes."""
    one, two = (serve(REDIS_URL=url, **QUICK) for _ in range(2))
    ada, bob = await enter(one, "ada"), await enter(two, "bob")

    await ada.until(lambda: ada.here == ["bob:1"], "presence")
    assert (await ada.push(n=1))["status"] == "ok"
    await bob.until(lambda: [m["n"] for m in bob.other] == [1], "the message")
    known = httpx.get(f"{one.url}/api/v1/processes", headers=SECRET).json()
    assert len(known["processes"]) == 2
    blocked = httpx.post(
        f"{one.url}/api/v1/rooms/r/remove",
        json={"user_id": "eve", "block_seconds": 60},
        headers=SECRET,
    )
    assert blocked.status_code == 200
    two.kill()
    await ada.until(lambda: ada.left == ["bob:1"], "the dead process's member leaves")

    assert "password" not in one.text() + two.text()
    for room in (ada, bob):
        await room.leave()


@pytest.mark.parametrize("find", [find_redis, find_old_redis, find_valkey])
async def test_beam_runs_on_redis_6_2_redis_7_and_valkey(
    beam_server: Serve, start: Start, find: Callable[[], str]
) -> None:
    await assert_works(beam_server, start(find()).url)


async def test_beam_connects_with_a_password(beam_server: Serve, start: Start) -> None:
    server = start(arguments=("--requirepass", "password"), login=":password@")

    await assert_works(beam_server, server.url)


async def test_a_user_with_the_documented_rights_is_enough(
    beam_server: Serve, start: Start
) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("ACL SETUSER")]
    server = start()
    with redis.Redis.from_url(server.url) as client:
        client.execute_command(*line.replace("PASSWORD", "password").split())

    await assert_works(beam_server, server.url.replace("//", "//beam:password@"))


async def test_beam_connects_over_a_unix_socket(
    beam_server: Serve, start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "redis.sock"
    start(arguments=("--unixsocket", str(path)))

    await assert_works(beam_server, f"unix://{path}?db=1")


async def test_beam_connects_over_tls(
    beam_server: Serve, start: Start, tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    certificate.cert_chain_pems[0].write_to_path(cert)
    certificate.private_key_pem.write_to_path(key)
    arguments = ("--tls-cert-file", cert, "--tls-key-file", key)
    server = start(
        scheme="rediss",
        arguments=(*arguments, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no"),
    )

    await assert_works(beam_server, f"{server.url}?ssl_ca_certs={ca}")


@pytest.fixture
def sentinel(start: Start, tmp_path: Path) -> Iterator[tuple[RedisServer, str]]:
    """A master, and the URL of a Sentinel that watches it and its replica."""
    master = start()
    replica = start(arguments=("--replicaof", "127.0.0.1", str(master.port)))
    with redis.Redis(port=replica.port) as client:
        wait_until(
            lambda: client.info("replication")["master_link_status"] == "up",
            "the replica has what the master has",
        )
    file = tmp_path / "sentinel.conf"
    port = free_port()
    file.write_text(
        f"dir {tmp_path}\n"
        f"sentinel monitor beam 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds beam 500\n"
        "sentinel failover-timeout beam 2000\n"
    )
    watcher = RedisServer(port, arguments=(str(file), "--sentinel"))
    watcher.start()
    with redis.Redis(port=port, decode_responses=True) as client:
        wait_until(
            lambda: client.execute_command("SENTINEL", "REPLICAS", "beam"),
            "the Sentinel knows the replica",
        )
        yield master, f"redis+sentinel://127.0.0.1:{port}/beam/0"
    watcher.stop()


async def test_beam_follows_the_sentinels_to_a_new_master(
    beam_server: Serve, sentinel: tuple[RedisServer, str]
) -> None:
    master, url = sentinel
    # The Sentinel takes about as long as a lease of the other tests.
    lasting = QUICK | {"BEAM_LEASE_SECONDS": "15"}
    one, two = (beam_server(REDIS_URL=url, **lasting) for _ in range(2))
    ada, bob = await enter(one, "ada"), await enter(two, "bob")

    master.kill()

    for room in (ada, bob):
        await room.until(lambda room=room: room.gaps > 0, "the gap", 30)
        await room.until(lambda room=room: room.here == ["ada:1", "bob:1"], "presence")
    assert httpx.get(f"{one.url}/readyz").status_code == 200
    assert (await ada.push(n=1))["status"] == "ok"
    await bob.until(lambda: [m["n"] for m in bob.other] == [1], "the message")
    assert ada.left == bob.left == []
    for room in (ada, bob):
        await room.leave()


def test_a_url_that_cannot_be_read_stops_the_start() -> None:
    ended = subprocess.run(
        [sys.executable, "manage.py", "beam_serve", "--port", str(free_port())],
        cwd=ROOT,
        env=os.environ
        | {"DEBUG": "1", "DJANGO_SETTINGS_MODULE": "beam.settings"}
        | {"REDIS_URL": "localhost:6379"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert ended.returncode == 1
    assert "REDIS_URL: it must begin with one of redis://, rediss" in ended.stderr
    assert "Traceback" not in ended.stderr
