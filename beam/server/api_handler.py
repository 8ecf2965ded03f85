"""Owns the short way of a request to the API's views.

Django's own handler leaves the event loop for each middleware, signal and the
end of a response, a thread each time. What backends ask needs none of them:
DRF's views answer in the loop. All other paths take Django's way.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpResponse
from django.urls import set_script_prefix, set_urlconf

from beam.server.body_limit import TooLarge, check_length, limit, refuse


class ApiHandler(ASGIHandler):
    """Django's request, URLs, views and error pages; no middleware, no signals."""

    def load_middleware(self, is_async: bool = False) -> None:
        """None: the view is the chain."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._middleware_chain = convert_exception_to_response(
            self._get_response_async  # type: ignore[attr-defined]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        try:
            # Before anything is received: that alone invites a client to send.
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
            # The one or the other is there.
            response: Any = refused
            if request is not None:
                # In chunks none is named, and DRF would not look for a body.
                request.META["CONTENT_LENGTH"] = str(len(body.getvalue()))
                chain: Any = self._middleware_chain
                response = await chain(request)
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


def _refusal() -> HttpResponse:
    response = HttpResponse(refuse(), "application/json", 413)
    response["Content-Length"] = str(len(response.content))
    # What is left of the body is not to be taken for another request.
    response["Connection"] = "close"
    return response
