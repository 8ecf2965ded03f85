"""How large a body may be, and how the application refuses a larger one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from pytest_django.fixtures import Settings

from beam.server.api_handler import ApiHandler
from beam.server.body_limit import SLACK, TooLarge, check_length, limit, refuse
from beam.telemetry import metrics

LIMIT = 1_048_576 + 65_536
PATH = "/api/v1/push_room_event"


def test_the_limit_is_above_those_of_all_views(settings: Settings) -> None:
    assert limit() == LIMIT

    settings.BEAM = settings.BEAM | {"max_message_bytes": 5_000, "max_batch_bytes": 10}
    assert limit() == 5_000 + SLACK

    settings.BEAM = settings.BEAM | {"max_batch_bytes": 9_000}
    assert limit() == 9_000 + SLACK


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"host", b"a")],
        [(b"content-length", b"0")],
        [(b"content-length", b"%d" % LIMIT)],
        [(b"content-length", b"-1")],
        [(b"content-length", b"many")],
        [(b"content-length", b"")],
        [(b"x-content-length", b"9999999999")],
    ],
)
def test_a_length_within_the_limit_is_accepted(
    headers: list[tuple[bytes, bytes]],
) -> None:
    check_length(headers)


@pytest.mark.parametrize("length", [LIMIT + 1, 10**18])
def test_a_length_above_the_limit_is_refused(length: int) -> None:
    with pytest.raises(TooLarge):
        check_length([(b"host", b"a"), (b"content-length", b"%d" % length)])


def test_a_refusal_is_counted_and_answered_in_json() -> None:
    before = metrics.BODIES_REFUSED.value

    answer = json.loads(refuse())

    message = f"a body has at most {LIMIT} bytes"
    assert answer == {"error": {"code": "too_large", "message": message}}
    assert metrics.BODIES_REFUSED.value == before + 1


class Exchange:
    """A request in parts, as a server passes it on, and the answer."""

    def __init__(self, *parts: bytes, **headers: str) -> None:
        self.parts = list(parts)
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in headers.items()
            ],
        }

    async def receive(self) -> dict[str, Any]:
        """The next part; after the last, the client disconnects."""
        if not self.parts:
            return {"type": "http.disconnect"}
        part = self.parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def send(self, message: Any) -> None:
        """Record a part of the answer."""
        self.sent.append(message)

    async def run(self, handler: ApiHandler) -> None:
        """Serve the request."""
        await handler(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return int(self.sent[0]["status"])


class Recorder:
    """A handler with one view, and what that view received: lengths and bodies."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.handler = ApiHandler(self._record)

    async def _record(self, request: HttpRequest) -> HttpResponse:
        self.received.append((request.META["CONTENT_LENGTH"], request.body))
        return HttpResponse()


@pytest.mark.parametrize(
    ("parts", "headers"),
    [
        ([b""], {}),
        ([b"{}"], {}),
        ([b'{"a"', b":", b"1}"], {}),
        ([b'{"a"', b":", b"1}"], {"transfer_encoding": "chunked"}),
        ([b"{}"], {"content_length": "2"}),
        ([b"x" * 1_000] * 100, {}),
    ],
)
async def test_a_view_gets_the_length_of_every_body(
    parts: list[bytes], headers: dict[str, str]
) -> None:
    recorder, body = Recorder(), b"".join(parts)

    await Exchange(*parts, **headers).run(recorder.handler)

    assert recorder.received == [(str(len(body)), body)]


async def test_a_body_at_the_limit_reaches_the_view() -> None:
    recorder = Recorder()
    exchange = Exchange(b"x" * (LIMIT - 1), b"y")

    await exchange.run(recorder.handler)

    assert exchange.status == 200
    assert [size for size, _ in recorder.received] == [str(LIMIT)]


async def test_a_body_is_read_up_to_the_limit() -> None:
    recorder, before = Recorder(), metrics.BODIES_REFUSED.value
    exchange = Exchange(*[b"x" * 100_000] * 1_000)

    await exchange.run(recorder.handler)

    assert recorder.received == []
    assert len(exchange.parts) == 1_000 - (LIMIT // 100_000 + 1)
    start, body = exchange.sent
    assert start["status"] == 413
    headers = {name.lower(): value for name, value in start["headers"]}
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"connection"] == b"close"
    assert headers[b"content-length"] == b"%d" % len(body["body"])
    assert json.loads(body["body"])["error"]["code"] == "too_large"
    assert metrics.BODIES_REFUSED.value == before + 1


async def test_a_body_whose_length_is_above_the_limit_is_not_read() -> None:
    recorder = Recorder()
    exchange = Exchange(b"x", b"y", content_length=str(LIMIT + 1))

    await exchange.run(recorder.handler)

    assert recorder.received == []
    assert exchange.parts == [b"x", b"y"]
    assert exchange.status == 413


async def test_a_client_that_disconnects_during_its_body_is_not_answered() -> None:
    recorder = Recorder()
    exchange = Exchange()

    await exchange.run(recorder.handler)

    assert recorder.received == exchange.sent == []
