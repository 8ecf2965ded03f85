"""Calls the API's views in the event loop, without middleware and signals.

Django's own handler leaves the event loop for each middleware, for each signal and
at the end of a response, each time for a thread. The API needs none of them. All
other paths are served by Django's handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import resolve, set_script_prefix, set_urlconf

from beam.server.body_limit import TooLarge, check_length, limit, refuse

View = Callable[[HttpRequest], Awaitable[HttpResponse]]


class ApiHandler(ASGIHandler):
    """Django's request, URLs, views and error pages; no middleware, no signals."""

    def __init__(self, view: View | None = None) -> None:
        """`view`: what answers every request; by default the view at its path."""
        super().__init__()
        self._answer: Any = convert_exception_to_response(view or _call_view)

    def load_middleware(self, is_async: bool = False) -> None:
        """Load none."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        try:
            # Before the first `receive`: it invites the client to send its body.
            check_length(scope["headers"])
            body = await self.read_body(receive)
        except RequestAborted:
            return
        except TooLarge:
            await self.send_response(_refusal(), send)
            return
        try:
            set_script_prefix(get_script_prefix(scope))
            set_urlconf(settings.ROOT_URLCONF)
            request, refused = self.create_request(scope, body)
            # Exactly one of the two is not None.
            response: Any = refused
            if request is not None:
                # A chunked body has no length, and DRF would not look for a body.
                request.META["CONTENT_LENGTH"] = str(len(body.getvalue()))
                response = await self._answer(request)
            response["Content-Length"] = len(response.content)
            await self.send_response(response, send)
        finally:
            body.close()

    async def read_body(self, receive: Any) -> BytesIO:
        """The whole body. Raises `TooLarge` for one above the limit."""
        body = BytesIO()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            body.write(message.get("body", b""))
            if body.tell() > limit():
                raise TooLarge
            more = message.get("more_body", False)
        body.seek(0)
        return body


async def _call_view(request: HttpRequest) -> HttpResponse:
    """The response of the view at the request's path. Raises `Http404`."""
    request.resolver_match = match = resolve(request.path_info)
    response: Any = match.func(request, *match.args, **match.kwargs)
    if isawaitable(response):
        response = await response
    return cast(HttpResponse, response)


def _refusal() -> HttpResponse:
    response = HttpResponse(refuse(), "application/json", 413)
    response["Content-Length"] = str(len(response.content))
    # The rest of the body must not be read as another request.
    response["Connection"] = "close"
    return response
