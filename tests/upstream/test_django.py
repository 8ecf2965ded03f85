"""What Beam relies on in Django."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from pytest_django.fixtures import Settings

from tests.upstream.relied_on import relies_on

SCOPE = {"type": "http", "method": "GET", "path": "/", "scheme": "https"}


@pytest.mark.parametrize(
    ("origin", "is_accepted"),
    [
        (b"https://beam.test", True),
        (b"https://pages.example.com", True),
        (b"http://beam.test", False),
        (b"https://other.test", False),
        (b"null", False),
    ],
)
@relies_on("django", "_origin_verified", to="accept live views of its own pages only")
def test_the_origin_of_a_request_is_checked_as_for_forms(
    origin: bytes, is_accepted: bool, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["beam.test"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.example.com"]
    headers = [(b"host", b"beam.test"), (b"origin", origin)]
    request = ASGIRequest({**SCOPE, "headers": headers}, BytesIO())
    middleware: Any = CsrfViewMiddleware(lambda _: HttpResponse())

    assert middleware._origin_verified(request) is is_accepted


class Handler(ASGIHandler):
    """Records which of its methods are called, with what."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        self.calls.append("load_middleware")

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append("handle")
        await super().handle(scope, receive, send)

    async def read_body(self, receive: Any) -> Any:
        self.calls.append("read_body")
        return BytesIO(b"body")

    async def get_response_async(self, request: Any) -> Any:
        self.calls.append(f"get_response_async {request.body!r}")
        return HttpResponse("answer")


@relies_on(
    "django",
    *("load_middleware", "handle", "read_body", "get_response_async"),
    to="serve a bounded number of pages at once, and the API without middleware",
)
async def test_a_handler_calls_four_methods_that_beam_overrides() -> None:
    handler, sent = Handler(), []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await handler({**SCOPE, "headers": []}, receive, send)

    expected = ["load_middleware", "handle", "read_body", "get_response_async b'body'"]
    assert handler.calls == expected


@relies_on(
    "django",
    *("create_request", "send_response"),
    to="make requests of ASGI scopes and answer them without middleware",
)
async def test_a_request_is_made_and_a_response_sent_without_the_chain() -> None:
    handler, sent = Handler(), []

    async def send(message: Any) -> None:
        sent.append(message)

    request, refused = handler.create_request({**SCOPE, "headers": []}, BytesIO())
    await handler.send_response(HttpResponse(b"answer", status=201), send)

    assert request is not None
    assert (request.path, refused) == ("/", None)
    start, body = sent
    assert start["status"] == 201
    assert body == {
        "type": "http.response.body",
        "body": b"answer",
        "more_body": False,
    }
