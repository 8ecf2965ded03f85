"""Ordinary opening handshakes are recognised; the rest is left to daphne."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam.server.http import MAX_HEAD, Request, handshake_query
from rooms.auth import jwt_tokens
from tests.conftest import Serve

HEADERS = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


def request(
    line: bytes = b"GET /socket/websocket?vsn=2.0.0 HTTP/1.1",
    headers: bytes = HEADERS,
    rest: bytes = b"",
) -> bytes:
    """An opening handshake, with something about it changed."""
    return line + b"\r\n" + headers + b"\r\n" + rest


@pytest.mark.parametrize(
    ("data", "query"),
    [
        (request(), b"vsn=2.0.0"),
        (request(b"GET /socket/websocket HTTP/1.1"), b""),
        (request(b"GET /s? HTTP/1.1"), b""),
        (request(b"GET /s?a=%20&b=c?d HTTP/1.1"), b"a=%20&b=c?d"),
        (
            request(headers=HEADERS.replace(b": websocket", b":WebSocket ")),
            b"vsn=2.0.0",
        ),
    ],
)
def test_an_ordinary_handshake_gives_its_query(data: bytes, query: bytes) -> None:
    assert handshake_query(data) == query


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-1],
        request(rest=b"\x81\x80\x00\x00\x00\x00"),
        request(b"POST /socket/websocket HTTP/1.1"),
        request(b"GET /socket/websocket HTTP/1.0"),
        request(b"GET http://host/socket/websocket HTTP/1.1"),
        request(b"GET /socket/websocket#fragment HTTP/1.1"),
        request(b"GET /a b HTTP/1.1"),
        request("GET /é HTTP/1.1".encode()),
        request(headers=HEADERS.replace(b": websocket", b": h2c")),
        request(headers=HEADERS + b"Content-Length: 0\r\n"),
        request(headers=HEADERS + b"transfer-encoding: chunked\r\n"),
        request(headers=HEADERS + b" folded\r\n"),
        request(headers=HEADERS + b"X: a\rb\r\n"),
        request(headers=HEADERS + b"X : a\r\n"),
        request(headers=HEADERS + b"X: \x00\r\n"),
        request(headers=HEADERS + b"X: " + b"a" * MAX_HEAD + b"\r\n"),
    ],
)
def test_an_unusual_request_is_not_taken_as_a_handshake(data: bytes) -> None:
    assert handshake_query(data) is None


@given(st.binary(max_size=200) | st.text(alphabet="GET /?:\r\na").map(str.encode))
def test_arbitrary_bytes_are_not_taken_as_a_handshake(data: bytes) -> None:
    assert handshake_query(data) is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (b"/socket/websocket?user_token=sesame", "/socket/websocket"),
        (b"/socket/longpoll?a?user_token=sesame", "/socket/longpoll"),
        ("/é".encode(), r"/\xc3\xa9"),
    ],
)
def test_a_request_in_the_log_shows_no_query(uri: bytes, shown: str) -> None:
    server = SimpleNamespace(protocol_connected=lambda _: None)
    factory = SimpleNamespace(server=server)
    channel = SimpleNamespace(
        factory=factory, transport=None, getPeer=str, getHost=str, isSecure=bool
    )
    request = Request(channel)
    request.method, request.uri = b"GET", uri

    assert f"{request} {request!r}" == f"<Request GET {shown}> <Request GET {shown}>"


ANSWER_SECONDS = 5.0


async def status(port: int, *chunks: bytes) -> bytes:
    """The status code that the server answers to bytes sent one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    async with asyncio.timeout(ANSWER_SECONDS):
        line = await reader.readline()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return line.split()[1]


async def test_a_request_is_answered_alike_whole_and_in_parts(
    beam_server: Serve,
) -> None:
    port = beam_server().port
    token = jwt_tokens.mint_user("ada", 60).encode()
    good = request(b"GET /socket/websocket?user_token=" + token + b" HTTP/1.1")
    refused = request()
    keyless = request(headers=HEADERS.replace(b"Sec-WebSocket-Key", b"X-Key"))

    assert await status(port, good) == b"101"
    assert await status(port, *(good[n : n + 1] for n in range(len(good)))) == b"101"
    assert await status(port, refused) == b"403"
    assert await status(port, refused[:30], refused[30:]) == b"403"
    slashes = good.replace(b"GET /", b"GET //")
    assert await status(port, slashes) == b"101"
    assert await status(port, slashes[:30], slashes[30:]) == b"101"
    assert await status(port, good.replace(b"GET /", b"GET /x/")) == b"404"
    assert await status(port, keyless) == b"400"
    assert await status(port, keyless[:30], keyless[30:]) == b"400"
    assert await status(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") == b"200"


ALLOWED = "https://*,null,file://,capacitor://localhost"
ORIGINS = [
    (b"https://any.example", ALLOWED, b"101"),
    (b"http://any.example", ALLOWED, b"403"),
    (b"null", ALLOWED, b"101"),
    (b"file://", ALLOWED, b"101"),
    (b"capacitor://localhost", ALLOWED, b"101"),
    (b"app://", ALLOWED, b"403"),
    (b"", ALLOWED, b"403"),
    (b"http://[::1", ALLOWED, b"403"),
    (b"null", "*", b"101"),
    (b"file://", "*", b"101"),
    (b"app://", "*", b"101"),
    (b"", "*", b"101"),
]


async def test_origins_are_judged_by_beam_and_not_by_autobahn(
    beam_server: Serve,
) -> None:
    token = jwt_tokens.mint_user("ada", 60).encode()
    ports = {
        allowed: beam_server(BEAM_ALLOWED_ORIGINS=allowed).port
        for allowed in {allowed for _, allowed, _ in ORIGINS}
    }
    line = b"GET /socket/websocket?user_token=" + token + b" HTTP/1.1"
    headers = HEADERS.replace(b"127.0.0.1", b"a")

    for origin, allowed, expected in ORIGINS:
        data = request(line, headers + b"Origin: " + origin + b"\r\n")
        assert await status(ports[allowed], data) == expected, (origin, allowed)
        halves = data[:30], data[30:]
        assert await status(ports[allowed], *halves) == expected, (origin, allowed)
