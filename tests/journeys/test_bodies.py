"""Request bodies above the limit are refused, and no other client is affected."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import httpx
import psutil
import pytest

from beam.server.body_limit import limit
from beam.server.http import LINGER_BYTES, LINGER_SECONDS
from tests.conftest import Serve
from tests.journeys.test_server import KINDS, event, join
from tests.processes import Server, serve, wait_until

PUSH = "/api/v1/push_room_event"
SECRET = {"secret": "dev-secret"}
ANSWER_SECONDS = 5.0
# Bytes that one read takes, and that the system buffers at both ends.
ON_THE_WAY = 12_000_000
MEGABYTE = b"%x\r\n%b\r\n" % (1_000_000, b"x" * 1_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, which logs no error."""
    with serve(tmp_path_factory.mktemp("bodies")) as running:
        yield running
        assert "Traceback" not in running.text()
        assert "ERROR" not in running.text()


class Answer(NamedTuple):
    """What a server sent until it closed the connection."""

    status: int
    headers: dict[str, str]
    body: bytes


def head(headers: str, line: str = f"POST {PUSH} HTTP/1.1") -> bytes:
    """The head of a request; `headers` are separated by line feeds."""
    lines = [line, "host: 127.0.0.1", *headers.split("\n")]
    return "\r\n".join([*lines, "", ""]).encode()


def connection(server: Server) -> socket.socket:
    """A connection to a server; no call on it takes longer than `ANSWER_SECONDS`."""
    return socket.create_connection(("127.0.0.1", server.port), ANSWER_SECONDS)


def received(client: socket.socket) -> bytes:
    """All data until the server closes; fails after `ANSWER_SECONDS`."""
    data = bytearray()
    with suppress(ConnectionResetError):
        while part := client.recv(65_536):
            data += part
    return bytes(data)


def answer(client: socket.socket) -> Answer:
    """The one answer that the server sends until it closes."""
    top, _, body = received(client).partition(b"\r\n\r\n")
    line, *lines = top.decode().split("\r\n")
    pairs = (text.split(": ", 1) for text in lines)
    return Answer(int(line.split()[1]), {k.lower(): v for k, v in pairs}, body)


def assert_too_large(response: Answer) -> None:
    """Check that an answer is a whole refusal."""
    assert response.status == 413
    assert response.headers["content-type"] == "application/json"
    assert response.headers["connection"] == "close"
    assert response.headers["content-length"] == str(len(response.body))
    message = f"a body has at most {limit()} bytes"
    assert json.loads(response.body) == {
        "error": {"code": "too_large", "message": message}
    }


def refusals(server: Server) -> int:
    """The number of bodies that the server has refused."""
    text = httpx.get(f"{server.url}/metrics", headers=SECRET).text
    [count] = re.findall(r"^beam_bodies_refused_total\S* (\S+)$", text, re.MULTILINE)
    return int(float(count))


def rss(server: Server) -> int:
    """Bytes of memory of the server's process."""
    assert server.process is not None
    return int(psutil.Process(server.process.pid).memory_info().rss)


def is_healthy(server: Server) -> bool:
    """Whether the server answers other clients."""
    return httpx.get(f"{server.url}/healthz", timeout=ANSWER_SECONDS).is_success


PATHS = ["/", PUSH, "/healthz", "/metrics", "/socket/websocket", "/admin/", "/none"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "BREW"])
def test_a_length_above_the_limit_is_refused_before_the_body(
    server: Server, method: str, path: str
) -> None:
    before = refusals(server)

    with connection(server) as client:
        line = f"{method} {path} HTTP/1.1"
        client.sendall(head(f"content-length: {limit() + 1}", line))
        assert_too_large(answer(client))

    assert refusals(server) == before + 1


@pytest.mark.parametrize(
    "length", ["99999999999999999999", "9" * 5_000, "0" * 30 + "1114113"]
)
def test_a_length_of_any_number_of_digits_is_answered(
    server: Server, length: str
) -> None:
    with connection(server) as client:
        client.sendall(head(f"content-length: {length}\nx-more: 1"))
        assert_too_large(answer(client))


def test_a_length_at_the_limit_reaches_the_view(server: Server) -> None:
    response = httpx.post(f"{server.url}{PUSH}", content=b"x" * limit(), headers=SECRET)

    assert response.status_code == 413
    assert (
        response.json()["error"]["message"] == "the body must have at most 65536 bytes"
    )


def test_100_continue_is_not_sent_for_a_body_that_is_too_large(server: Server) -> None:
    with connection(server) as client:
        headers = f"content-length: {limit() + 1}\nexpect: 100-continue"
        client.sendall(head(headers))
        assert_too_large(answer(client))


def test_100_continue_is_sent_for_a_body_within_the_limit(server: Server) -> None:
    body = b'{"room_id":"r"}'
    headers = f"content-length: {len(body)}\nexpect: 100-continue\nconnection: close"
    kind = "\nsecret: dev-secret\ncontent-type: application/json"

    with connection(server) as client:
        client.sendall(head(headers + kind))
        assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert answer(client).status == 200


def test_a_handshake_with_a_body_that_is_too_large_is_refused(server: Server) -> None:
    headers = f"upgrade: websocket\nconnection: upgrade\ncontent-length: {limit() + 1}"

    with connection(server) as client:
        client.sendall(head(headers, "GET /socket/websocket HTTP/1.1"))
        assert_too_large(answer(client))


CHUNKS = {
    "one chunk": MEGABYTE + MEGABYTE,
    "many chunks": b"2710\r\n%b\r\n" % (b"x" * 10_000) * 120,
    "tiny chunks": b"a;a=b\r\n0123456789\r\n" * 111_412,
    "one chunk that never ends": b"ffffffffff\r\n" + b"x" * 1_200_000,
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS.keys())
def test_chunks_above_the_limit_are_refused(server: Server, chunks: bytes) -> None:
    before = refusals(server)

    with connection(server) as client:
        client.sendall(head("transfer-encoding: chunked"))
        with suppress(ConnectionError):
            client.sendall(chunks)
        assert_too_large(answer(client))

    assert refusals(server) == before + 1


def test_chunks_at_the_limit_reach_the_view(server: Server) -> None:
    chunk = b"x" * (limit() // 8)

    response = httpx.post(
        f"{server.url}{PUSH}", content=(chunk for _ in range(8)), headers=SECRET
    )

    assert response.status_code == 413
    assert (
        response.json()["error"]["message"] == "the body must have at most 65536 bytes"
    )


def test_the_rest_of_a_refused_body_is_not_read_as_a_request(server: Server) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"

    with connection(server) as client:
        client.sendall(head(f"content-length: {limit() + 1}") + inner * 10)
        assert_too_large(answer(client))
    with connection(server) as client:
        client.sendall(head("transfer-encoding: chunked") + MEGABYTE + MEGABYTE)
        with suppress(ConnectionError):
            client.sendall(b"0\r\n\r\n" + inner * 10)
        assert_too_large(answer(client))


def test_an_earlier_request_on_the_connection_is_answered_first(server: Server) -> None:
    with connection(server) as client:
        first = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
        client.sendall(first + head(f"content-length: {limit() + 1}"))
        response = received(client)

    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"200", b"413"]


def test_a_client_that_sends_all_before_it_reads_is_answered(server: Server) -> None:
    size = limit() + LINGER_BYTES // 2

    began = time.monotonic()
    with connection(server) as client:
        client.sendall(head(f"content-length: {size}"))
        client.sendall(b"x" * size)
        assert_too_large(answer(client))
    response = httpx.post(f"{server.url}{PUSH}", content=iter([b"x" * 1_000] * 1_500))

    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"
    assert time.monotonic() - began < LINGER_SECONDS


def send_without_end(server: Server, most: int) -> tuple[int, float]:
    """Send chunks and read nothing; how many bytes the server took, in what time."""
    sent, began = 0, time.monotonic()
    with connection(server) as client:
        client.sendall(head("transfer-encoding: chunked"))
        with suppress(ConnectionError):
            while sent < most:
                client.sendall(MEGABYTE)
                sent += len(MEGABYTE)
    return sent, time.monotonic() - began


async def test_200_megabytes_take_no_memory_and_delay_no_other_client(
    server: Server,
) -> None:
    ada, bob = await join(server, "ada", "r"), await join(server, "bob", "r")
    before, most, slowest, rounds = rss(server), 0, 0.0, 0

    with ThreadPoolExecutor() as threads:
        senders = [
            threads.submit(send_without_end, server, 200_000_000) for _ in range(4)
        ]
        async with httpx.AsyncClient() as http:
            while not all(sender.done() for sender in senders):
                began = time.monotonic()
                assert (await http.get(f"{server.url}/healthz")).is_success
                await ada.send('["1","2","room:r","new_msg",{"broadcast":true}]')
                assert (await event(bob, "new_msg"))["broadcast"] is True
                assert (await event(ada, "phx_reply"))["status"] == "ok"
                slowest = max(slowest, time.monotonic() - began)
                most, rounds = max(most, rss(server)), rounds + 1
                await asyncio.sleep(0.01)

    for sender in senders:
        sent, seconds = sender.result()
        assert sent < limit() + LINGER_BYTES + ON_THE_WAY
        assert seconds < LINGER_SECONDS + 1
    assert most - before < 20_000_000
    assert slowest < 0.5
    assert rounds > 20
    for client in (ada, bob):
        await client.close()


def test_a_client_that_never_reads_its_refusal_is_dropped(server: Server) -> None:
    assert server.process is not None
    with connection(server) as client:
        client.sendall(head(f"content-length: {limit() + 1}"))
        port, process = client.getsockname()[1], psutil.Process(server.process.pid)

        def is_dropped() -> bool:
            connected = process.net_connections("tcp")
            return port not in {c.raddr.port for c in connected if c.raddr}

        wait_until(lambda: not is_dropped(), "it is connected")
        wait_until(is_dropped, "it is dropped", LINGER_SECONDS + 3)


def test_a_form_is_parsed_only_by_the_view(server: Server) -> None:
    kind = {"content-type": "multipart/form-data"}

    response = httpx.post(f"{server.url}{PUSH}", content=b"no form", headers=kind)

    assert response.status_code == 401


def test_other_connections_are_served_at_the_same_time(server: Server) -> None:
    half, other = threading.Event(), threading.Event()

    def in_halves() -> Iterator[bytes]:
        yield b'{"room_id":'
        half.set()
        assert other.wait(ANSWER_SECONDS)
        yield b'"r"}'

    with ThreadPoolExecutor() as threads:
        headers = SECRET | {"content-type": "application/json"}
        slow = threads.submit(
            httpx.post, f"{server.url}{PUSH}", content=in_halves(), headers=headers
        )
        assert half.wait(ANSWER_SECONDS)
        with connection(server) as client:
            client.sendall(head(f"content-length: {limit() + 1}"))
            assert_too_large(answer(client))
        other.set()
        assert slow.result(ANSWER_SECONDS).status_code == 200


def test_the_limit_follows_the_settings(beam_server: Serve) -> None:
    server = beam_server(BEAM_MAX_BATCH_BYTES="3000000")

    with connection(server) as client:
        client.sendall(head("content-length: 3065537"))
        assert answer(client).status == 413
    response = httpx.post(f"{server.url}{PUSH}", content=b"x" * 3_000_000)
    assert response.status_code == 401


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_body_in_chunks_is_read_by_every_server(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind)

    response = httpx.post(
        f"{server.url}{PUSH}",
        content=iter([b'{"room_', b'id":"r","event":', b'"changed"}']),
        headers=SECRET | {"content-type": "application/json"},
    )

    assert response.status_code == 200, response.text


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_other_servers_refuse_a_body_that_is_too_large(
    beam_server: Serve, kind: str
) -> None:
    server = beam_server(kind)

    response = httpx.post(f"{server.url}{PUSH}", content=iter([b"x" * 1_000_000] * 2))

    headers = {name.lower(): value for name, value in response.headers.items()}
    assert_too_large(Answer(response.status_code, headers, response.content))
    assert refusals(server) == 1
    assert is_healthy(server)


def test_uvicorn_refuses_a_length_above_the_limit_before_the_body(
    beam_server: Serve,
) -> None:
    server = beam_server("uvicorn")

    with connection(server) as client:
        headers = f"content-length: {limit() + 1}\nexpect: 100-continue"
        client.sendall(head(headers))
        assert_too_large(answer(client))
    assert is_healthy(server)
