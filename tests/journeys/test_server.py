"""Start, handshakes, limits and drain of a server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.processes import ROOT, SERVERS, Server, free_port

KINDS = ["beam", "daphne", "uvicorn"]


async def join(server: Server, user_id: str, room_id: str) -> ClientConnection:
    """A connection that has joined a room, and received its own presence."""
    token = jwt_tokens.mint_user(user_id, 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    client = await connect(url, max_size=None, ping_interval=None, proxy=None)
    payload = {"room_token": jwt_tokens.mint_room(room_id, 60), "session_id": "1"}
    await client.send(json.dumps(["1", "1", f"room:{room_id}", "phx_join", payload]))
    for name in ("phx_reply", "presence_state", "presence_diff"):
        assert json.loads(await client.recv())[3] == name
    return client


async def event(client: ClientConnection, name: str) -> Any:
    """The payload of the next event of that name; passes over others."""
    while True:
        frame = json.loads(await asyncio.wait_for(client.recv(), 5))
        if frame[3] == name:
            return frame[4]


async def close_code(client: ClientConnection, seconds: float = 5) -> int | None:
    """The code of the server's close frame; None if the connection was dropped.

    `seconds`: how long to wait for each frame.
    """
    try:
        while True:
            await asyncio.wait_for(client.recv(), seconds)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize("kind", KINDS)
async def test_members_talk_and_a_backend_reaches_them(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind)
    ada = await join(server, "ada", "r")
    bob = await join(server, "bob", "r")

    await ada.send('["1","2","room:r","new_msg",{"broadcast":true,"n":1}]')
    answer = httpx.post(
        f"{server.url}/api/v1/push_room_event",
        json={"room_id": "r", "event": "changed", "payload": {"n": 2}},
        headers={"secret": "dev-secret"},
    )

    assert answer.status_code == 200
    source = {"user_id": "ada", "session": "ada:1"}
    assert await event(bob, "new_msg") == {"broadcast": True, "n": 1, "from": source}
    assert await event(bob, "changed") == {"n": 2}
    assert await event(ada, "changed") == {"n": 2}
    for client in (ada, bob):
        await client.close()


async def handshake(url: str) -> tuple[int, str | None]:
    """The status and the `Retry-After` of an opening handshake."""
    try:
        async with connect(url, proxy=None):
            return 101, None
    except InvalidStatus as refused:
        response = refused.response
        return response.status_code, response.headers.get("retry-after")


# Plain daphne always answers 403, and cannot read a path that begins with `//`.
@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_a_refused_handshake_has_its_own_status(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind, BEAM_MAX_USER_CONNECTIONS="1")
    ada = await join(server, "ada", "r")
    token, other = jwt_tokens.mint_user("ada", 60), jwt_tokens.mint_user("bob", 60)
    root = server.socket_url.removesuffix("/socket")

    got = {
        path: await handshake(root + path)
        for path in (
            f"/socket/websocket?user_token={token}",
            "/socket/websocket?user_token=no",
            "/nowhere/websocket",
            f"//socket/websocket?user_token={other}",
            f"///socket//websocket/?user_token={other}",
        )
    }

    assert list(got.values()) == [
        (429, "10"), (403, None), (404, None), (101, None), (101, None),
    ]  # fmt: skip
    await ada.close()


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
async def test_a_backend_that_is_unavailable_is_503(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind, BEAM_BACKEND_URL=f"http://127.0.0.1:{free_port()}")

    plain = httpx.get(f"{server.url}//socket/websocket?user_token=x")

    assert await handshake(f"{server.socket_url}/websocket?user_token=x") == (503, "5")
    assert (plain.status_code, plain.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_disconnects_during_its_handshake_leaves_nothing_behind(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind, BEAM_FAILURES_BEFORE_DELAY="1")
    token = jwt_tokens.mint_user("ada", 60)
    url = f"{server.socket_url}/websocket?vsn=2.0.0&user_token={token}"
    for _ in range(5):
        async with connect(url, proxy=None) as failing:
            await failing.send("no frame")
            await close_code(failing)

    # The next handshake is delayed by 0.8 s.
    with pytest.raises(TimeoutError):
        await connect(url, proxy=None, open_timeout=0.5)
    async with connect(url, proxy=None) as again:
        await again.send('[null,"1","phoenix","heartbeat",{}]')
        answered = json.loads(await again.recv())
        scraped = httpx.get(
            f"{server.url}/metrics", headers={"secret": "dev-secret"}
        ).text

    assert answered[1] == "1"
    assert 'beam_connections{process="1"} 1.0' in scraped
    assert 'beam_answers_delayed_total{process="1",reason="connect"} 5.0' in scraped
    server.stop()
    assert "Traceback" not in server.text()


async def test_a_server_without_the_extension_answers_403(beam_server: Serve) -> None:
    server = beam_server("daphne")
    root = server.socket_url.removesuffix("/socket")

    assert (await handshake(f"{root}/nowhere/websocket"))[0] == 403


async def test_sigterm_drains_with_1012_and_exit_code_0(beam_server: Serve) -> None:
    server = beam_server()
    clients = [await join(server, f"u{n}", "r") for n in range(20)]

    codes = asyncio.gather(*map(close_code, clients))
    status = await asyncio.to_thread(server.stop)

    assert status == 0
    assert set(await codes) == {1012}
    assert "Traceback" not in server.text()


async def test_only_the_client_that_stops_reading_is_closed(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_INBOUND_RATE="100000")
    slow, bob = await join(server, "slow", "r"), await join(server, "bob", "r")
    ada = await join(server, "ada", "r")
    slow.transport.pause_reading()
    payload = {"broadcast": True, "x": "y" * 60_000}
    left: set[str] = set()

    for n in range(200):
        frame = ["1", str(n + 2), "room:r", "new_msg", payload | {"n": n}]
        await ada.send(json.dumps(frame))
        async with asyncio.timeout(5):
            while (received := json.loads(await bob.recv()))[3] != "new_msg":
                left |= set(received[4].get("leaves", ()))
        assert received[4]["n"] == n
        assert (await event(ada, "phx_reply"))["status"] == "ok"

    # The leave is sent at once, although the client never answers the close frame.
    assert "slow:1" in left
    async with httpx.AsyncClient() as http:
        scraped = await http.get(
            f"{server.url}/metrics", headers={"secret": "dev-secret"}
        )
    closes = 'connections_closed_total{process="1",reason="slow_consumer"} 1.0'
    assert closes in scraped.text
    # Only the event above the limit: after it the client had left the room.
    assert 'events_dropped_total{process="1"} 1.0' in scraped.text
    slow.transport.abort()
    await slow.wait_closed()
    for client in (ada, bob):
        await client.close()


async def test_a_client_that_reads_slowly_for_a_moment_gets_all_events(
    beam_server: Serve,
) -> None:
    server = beam_server()
    slow, ada = await join(server, "slow", "r"), await join(server, "ada", "r")
    slow.transport.pause_reading()
    payload = {"broadcast": True, "x": "y" * 50_000}
    for n in range(16):
        frame = ["1", str(n + 2), "room:r", "new_msg", payload | {"n": n}]
        await ada.send(json.dumps(frame))
        assert await event(ada, "phx_reply") == {"status": "ok", "response": {}}

    slow.transport.resume_reading()

    for n in range(16):
        assert (await event(slow, "new_msg"))["n"] == n
    await slow.send('["1","9","room:r","new_msg",{"broadcast":true,"n":99}]')
    assert await event(slow, "phx_reply") == {"status": "ok", "response": {}}
    for client in (ada, slow):
        await client.close()


async def test_a_frame_above_the_limit_is_closed_with_1009(beam_server: Serve) -> None:
    server = beam_server()
    ada, bob = await join(server, "ada", "r"), await join(server, "bob", "r")

    await ada.send("x" * 1_100_000)

    assert await close_code(ada) == 1009
    assert list((await event(bob, "presence_diff"))["leaves"]) == ["ada:1"]
    await bob.close()


def test_many_clients_that_connect_at_once_are_accepted_at_first_try(
    beam_server: Serve,
) -> None:
    server = beam_server()
    assert server.process is not None

    with ExitStack() as stack:
        server.process.send_signal(signal.SIGSTOP)
        stack.callback(server.process.send_signal, signal.SIGCONT)
        # No process accepts now; a connection beyond the backlog waits for a second.
        for _ in range(300):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=0.9)
            stack.enter_context(client)

    assert httpx.get(f"{server.url}/healthz").status_code == 200


async def test_a_port_in_use_is_reported_with_exit_code_1(beam_server: Serve) -> None:
    server = beam_server()
    command = [sys.executable, "manage.py", "beam_serve", "--port", str(server.port)]

    second = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env=os.environ | server.env,
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert second.returncode == 1
    assert "Cannot listen" in second.stderr
    assert "in use" in second.stderr


async def test_tokens_do_not_reach_the_log(beam_server: Serve) -> None:
    server = beam_server()
    token = jwt_tokens.mint_user("ada", 60)
    ada = await join(server, "ada", "r")
    bad = httpx.get(f"{server.url}/socket/websocket?user_token={token}x")
    await ada.close()

    server.stop()

    assert bad.status_code == 403
    assert token not in server.text()
    assert "user_token" not in server.text()


def test_every_server_of_the_journeys_is_known() -> None:
    assert set(KINDS) <= set(SERVERS)


async def test_beam_send_reaches_the_server_without_redis(
    beam_server: Serve, tmp_path: Path
) -> None:
    server = beam_server()
    ada = await join(server, "ada", "r é")
    command = [sys.executable, "manage.py", "beam_send", "r é", "hello", '{"n": 1}']

    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=ROOT,
        env=os.environ | server.env | {"PORT": str(server.port)},
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert await event(ada, "hello") == {"n": 1}
    await ada.close()
