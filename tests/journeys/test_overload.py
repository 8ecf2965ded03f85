"""Overload: a client that misbehaves affects no other client."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.conftest import Serve
from tests.journeys.test_server import KINDS, close_code, event, join
from tests.processes import Server


def rss(server: Server) -> int:
    """The server's memory in bytes."""
    assert server.process is not None
    return int(psutil.Process(server.process.pid).memory_info().rss)


async def events(client: ClientConnection, name: str, count: int) -> list[Any]:
    """The payloads of the next events of a name."""
    return [await event(client, name) for _ in range(count)]


def message(ref: int, room: str, **payload: Any) -> str:
    """A broadcast to a room."""
    frame = ["1", str(ref), f"room:{room}", "new_msg", {"broadcast": True} | payload]
    return json.dumps(frame)


async def flood(client: ClientConnection, messages: int) -> None:
    """Send as fast as the network allows; replies are read and dropped."""

    async def read() -> None:
        for _ in range(messages):
            assert (await event(client, "phx_reply"))["status"] == "ok"

    reading = asyncio.create_task(read())
    for n in range(messages):
        await client.send(message(n, "flooded", n=n))
    await asyncio.wait_for(reading, 60)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_floods_is_slowed_to_its_rate_and_loses_nothing(
    beam_server: Serve, kind: str
) -> None:
    limits = {"BEAM_INBOUND_RATE": "400", "BEAM_INBOUND_BURST": "100"}
    server = beam_server(kind, **limits)
    flooder, bob = (
        await join(server, "f", "flooded"),
        await join(server, "b", "flooded"),
    )
    received = asyncio.create_task(events(bob, "new_msg", 500))
    began = time.perf_counter()

    await flood(flooder, 500)

    # The first 100 are the burst; the wait for the last turn comes afterwards.
    assert time.perf_counter() - began > (500 - 100 - 80) / 400
    assert [payload["n"] for payload in await received] == list(range(500))
    for client in (flooder, bob):
        await client.close()


async def test_other_members_are_served_while_one_floods(beam_server: Serve) -> None:
    server = beam_server()
    flooder = await join(server, "f", "flooded")
    ada, bob = await join(server, "ada", "calm"), await join(server, "bob", "calm")
    flooding = asyncio.create_task(flood(flooder, 4_000))
    rounds = 0

    while not flooding.done():
        await ada.send(message(rounds, "calm", n=rounds))
        assert (await event(bob, "new_msg"))["n"] == rounds
        await event(ada, "phx_reply")
        rounds += 1

    await flooding
    # Clients are served in turns: after the whole flood it would be a few.
    assert rounds > 50
    for client in (flooder, ada, bob):
        await client.close()


async def test_memory_is_bounded_when_many_clients_stop_reading(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_INBOUND_RATE="100000")
    ada = await join(server, "ada", "r")
    silent = [await join(server, f"u{n}", "r") for n in range(20)]
    for client in silent:
        client.transport.pause_reading()
    before = rss(server)
    received = asyncio.create_task(events(ada, "phx_reply", 300))

    for n in range(300):
        await ada.send(message(n, "r", x="y" * 60_000))

    assert [payload["status"] for payload in await received] == ["ok"] * 300
    # 300 messages of 60 kB for each of 20 clients are 360 MB.
    assert rss(server) - before < 20 * 1_048_576 + 30_000_000
    for client in (*silent, ada):
        client.transport.abort()
        await client.wait_closed()


@contextmanager
def slow_backend() -> Iterator[tuple[str, threading.Event]]:
    """A `decode_token` that decodes room tokens only when the event is set."""
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if request["type"] == "room":
                release.wait(30)
            body = json.dumps({"data": {f"{request['type']}_id": request["token"]}})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", release
    finally:
        release.set()
        server.shutdown()
        server.server_close()


async def test_what_a_client_sends_during_a_slow_join_takes_bounded_memory(
    beam_server: Serve,
) -> None:
    # Decoded lists take twenty times as much memory as their text.
    lists: list[Any] = [[]] * 15_000
    with slow_backend() as (url, release):
        server = beam_server(
            BEAM_BACKEND_URL=url,
            BEAM_BACKEND_TIMEOUT="30",
            BEAM_INBOUND_RATE="1000000",
            BEAM_IDLE_TIMEOUT="60",
        )
        flooder, ada = [
            await connect(
                f"{server.socket_url}/websocket?vsn=2.0.0&user_token={name}",
                max_size=None,
                ping_interval=None,
                proxy=None,
            )
            for name in ("flooder", "ada")
        ]
        payload = {"room_token": "r", "session_id": "1"}
        await flooder.send(json.dumps(["1", "1", "room:r", "phx_join", payload]))
        before = rss(server)

        async def send() -> None:
            for n in range(400):
                await flooder.send(message(n, "r", n=n, x=lists))

        sending = asyncio.create_task(send())
        heartbeat = ["1", "1", "phoenix", "heartbeat", {}]
        for _ in range(100):
            await ada.send(json.dumps(heartbeat))
            assert (await event(ada, "phx_reply"))["status"] == "ok"
            await asyncio.sleep(0.02)

        # 400 messages of 60 kB are 24 MB; decoded, half a gigabyte.
        assert not sending.done()
        assert rss(server) - before < 15_000_000
        release.set()
        for _ in range(401):
            assert (await event(flooder, "phx_reply"))["status"] == "ok"
        await sending
        for client in (flooder, ada):
            await client.close()


async def test_a_bad_frame_closes_only_the_socket_of_its_sender(
    beam_server: Serve,
) -> None:
    server = beam_server()
    bad, ada = await join(server, "bad", "r"), await join(server, "ada", "r")
    await event(bad, "presence_diff")

    await bad.send("[")

    assert await close_code(bad) == 1011
    assert list((await event(ada, "presence_diff"))["leaves"]) == ["bad:1"]
    await ada.send(message(1, "r"))
    assert (await event(ada, "phx_reply"))["status"] == "ok"
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    await ada.close()
