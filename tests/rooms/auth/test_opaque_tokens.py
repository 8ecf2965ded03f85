"""Opaque tokens, which the backend decodes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import grants, opaque_tokens, verifier

ADA = grants.Identity("ada")

REDIRECTS = (301, 302, 307, 308)


class Backend(BaseHTTPRequestHandler):
    """A backend with the call `decode_token`."""

    requests: list[dict[str, Any]]
    answers: dict[str, tuple[int, Any]]

    def do_POST(self) -> None:
        """Send the answer that the test has set for this token."""
        size = int(self.headers["content-length"])
        body = orjson.loads(self.rfile.read(size))
        secret = self.headers["oorja-secret"]
        self.requests.append(body | {"path": self.path, "secret": secret})
        status, data = self.answers[body["token"]]
        raw = data if isinstance(data, bytes) else orjson.dumps(data)
        self.send_response(status)
        if status in REDIRECTS:
            self.send_header("location", "https://other.example/decode?key=sesame")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def token_backend(settings: Settings) -> Iterator[type[Backend]]:
    """A backend that decodes tokens, and the settings that use it."""
    kind = type("OneBackend", (Backend,), {"requests": [], "answers": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    settings.BEAM = settings.BEAM | {
        "backend_url": url,
        "api_secrets": ("abcd",),
        "backend_timeout": 0.5,
    }
    yield kind
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
async def client_closed() -> Any:
    """Close the HTTP client of this event loop after the test."""
    yield
    in_force = verifier.verifier()
    if isinstance(in_force, opaque_tokens.BackendVerifier):
        await in_force.close()


pytestmark = pytest.mark.usefixtures("client_closed")


async def test_the_request_to_the_backend_has_the_documented_form(
    token_backend: type[Backend],
) -> None:
    token_backend.answers["t"] = (200, {"status": 200, "data": {"user_id": "ada"}})

    assert await verifier.identify("t") == ADA
    assert token_backend.requests == [
        {
            "type": "user",
            "token": "t",
            "path": "/api/v1/private/decode_token",
            "secret": "abcd",
        }
    ]


async def test_a_positive_answer_is_cached(
    token_backend: type[Backend],
) -> None:
    token_backend.answers["t"] = (200, {"data": {"user_id": "ada", "room_id": "r"}})

    for _ in range(3):
        assert await verifier.identify("t") == ADA
        assert (await verifier.authorize("t", "r", ADA)).room_id == "r"

    assert [request["type"] for request in token_backend.requests] == ["user", "room"]


@pytest.mark.parametrize("data", [None, {}, {"user_id": None}, {"room_id": "r"}, []])
async def test_the_backends_refusal_is_unauthorized(
    token_backend: type[Backend], data: Any
) -> None:
    token_backend.answers["t"] = (200, {"data": data})

    for _ in range(2):
        with pytest.raises(grants.Unauthorized):
            await verifier.identify("t")

    assert len(token_backend.requests) == 2


@pytest.mark.parametrize(
    "answer", [(500, b"oops"), (401, {}), (200, b"no json"), (200, [])]
)
async def test_a_backend_that_fails_is_not_a_refusal(
    token_backend: type[Backend],
    answer: tuple[int, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    token_backend.answers["secret-token"] = answer

    for _ in range(3):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("secret-token")

    lines = [line for line in caplog.messages if "backend" in line]
    assert len(lines) == 1
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize("status", REDIRECTS)
async def test_a_backends_redirect_is_named_and_not_followed(
    token_backend: type[Backend], caplog: pytest.LogCaptureFixture, status: int
) -> None:
    token_backend.answers["t"] = (status, b"")

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")

    [line] = caplog.messages
    assert line.endswith("it redirects to https://other.example")
    assert "sesame" not in caplog.text
    assert len(token_backend.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "its answer is not JSON"),
        (b"[]", "its answer is a list, not an object with `data`"),
        (b"x" * 1_100_000, "larger than 1,048,576 bytes"),
    ],
)
async def test_the_log_names_the_failure_of_the_backend(
    token_backend: type[Backend],
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    answer: bytes,
    reason: str,
) -> None:
    settings.BEAM = settings.BEAM | {"backend_timeout": 30.0}
    token_backend.answers["t"] = (200, answer)

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")

    assert reason in caplog.text


async def test_a_byte_order_mark_before_json_is_ignored(
    token_backend: type[Backend],
) -> None:
    token_backend.answers["t"] = (200, b'\xef\xbb\xbf{"data": {"user_id": 42}}')

    assert await verifier.identify("t") == grants.Identity("42")


async def test_a_backend_that_recovers_is_used_again(
    token_backend: type[Backend], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    token_backend.answers["t"] = (500, b"")
    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")
    token_backend.answers["t"] = (200, {"data": {"user_id": "ada"}})

    assert await verifier.identify("t") == ADA
    assert "The backend decodes tokens again" in caplog.messages


async def test_the_breaker_opens_after_several_failures_in_a_row(
    token_backend: type[Backend], settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"backend_failures": 2, "backend_pause": 0.05}
    token_backend.answers["t"] = (503, b"")
    failed, skipped = metrics.DECODES_FAILED.value, metrics.DECODES_SKIPPED.value

    for _ in range(5):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("t")

    assert len(token_backend.requests) == 2
    assert metrics.DECODES_FAILED.value == failed + 2
    assert metrics.DECODES_SKIPPED.value == skipped + 3
    token_backend.answers["t"] = (200, {"data": {"user_id": "ada"}})
    async with asyncio.timeout(5):
        assert await _sooner_or_later("t") == ADA


@pytest.mark.parametrize("answer", [(500, b"oops"), (401, {}), (404, b"")])
async def test_bad_tokens_do_not_open_the_breaker(
    token_backend: type[Backend], settings: Settings, answer: tuple[int, Any]
) -> None:
    settings.BEAM = settings.BEAM | {"backend_failures": 2}
    token_backend.answers |= {"bad": answer, "t": (200, {"data": {"user_id": "ada"}})}

    for _ in range(10):
        with pytest.raises(grants.BackendUnavailable):
            await verifier.identify("bad")

    assert await verifier.identify("t") == ADA


async def test_an_answer_without_data_is_a_refusal(
    token_backend: type[Backend],
) -> None:
    token_backend.answers["t"] = (200, {"status": "no such token"})

    with pytest.raises(grants.Unauthorized):
        await verifier.identify("t")


async def _sooner_or_later(token: str) -> grants.Identity:
    while True:
        try:
            return await verifier.identify(token)
        except grants.BackendUnavailable:
            await asyncio.sleep(0.01)


async def test_a_refused_connection_is_not_a_refusal(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"backend_url": "http://127.0.0.1:1"}

    with pytest.raises(grants.BackendUnavailable):
        await verifier.identify("t")


async def test_the_size_of_the_cache_is_limited(
    token_backend: type[Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opaque_tokens.BackendVerifier, "MAX_CACHED", 2)
    for name in ("t1", "t2", "t3"):
        token_backend.answers[name] = (200, {"data": {"user_id": name}})
        await verifier.identify(name)

    await asyncio.gather(*(verifier.identify(name) for name in ("t2", "t3")))
    await verifier.identify("t1")

    assert [request["token"] for request in token_backend.requests] == [
        "t1", "t2", "t3", "t1",
    ]  # fmt: skip
