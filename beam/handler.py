"""Owns the short way of a request to the API's views.

Django's own handler leaves the event loop for each middleware, signal and the
end of a response, a thread each time. What backends ask needs none of them:
DRF's views answer in the loop. All other paths take Django's way.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.urls import set_script_prefix, set_urlconf


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
            body = await self.read_body(receive)
        except RequestAborted:
            return
        try:
            set_script_prefix(get_script_prefix(scope))
            set_urlconf(settings.ROOT_URLCONF)
            request, refused = self.create_request(scope, body)
            # The one or the other is there.
            response: Any = refused
            if request is not None:
                chain: Any = self._middleware_chain
                response = await chain(request)
            response["Content-Length"] = len(response.content)
            await self.send_response(response, send)
        finally:
            body.close()
