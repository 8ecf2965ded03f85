"""`BackendView`: the base of all views for backends.

A DRF view that runs in the event loop: its handlers are coroutines, and no
request waits for a thread. Parsing, negotiation, serializers and errors are
DRF's.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.api import authentication
from rooms.api.errors import TooLarge, UnsupportedBody
from rooms.api.openapi import ApiSchema
from rooms.api.parsers import MAX_QUOTED, ByContentType, JsonParser
from rooms.auth.api_keys import Caller
from rooms.protocol.json_text import dumps


class JsonRenderer(BaseRenderer):
    """Renders `application/json`."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, media_type: Any = None, context: Any = None) -> bytes:
        """The JSON; empty if there is no data."""
        return b"" if data is None else dumps(data)


logger = logging.getLogger(__name__)

METHODS = frozenset({"get", "head", "options", "post"})


class BackendView(APIView):
    """A view for backends.

    `scope`: what an API key needs to call it. `tag`: its group in OpenAPI.
    """

    schema = ApiSchema()
    tag = "Service"
    scope: str | None = None
    caller: Caller
    renderer_classes = (JsonRenderer,)
    parser_classes: Sequence[type[BaseParser]] = (JsonParser,)
    content_negotiation_class = ByContentType

    @property
    def max_bytes(self) -> int:
        """The largest body, in bytes."""
        return conf().max_message_bytes

    def perform_content_negotiation(
        self, request: Request, force: bool = False
    ) -> tuple[BaseRenderer, str]:
        """JSON for every `Accept`: errors must be readable too."""
        return JsonRenderer(), JsonRenderer.media_type

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """`APIView.dispatch`, without leaving the event loop."""
        self.args, self.kwargs = args, kwargs
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            self.initial(drf_request, *args, **kwargs)
            response = await self.respond(drf_request)
        except Exception as error:  # noqa: BLE001 - any error gets an answer
            response = self.handle_exception(error)
        whole: Any = response
        self.response = self.finalize_response(drf_request, whole, *args, **kwargs)
        return _rendered(self.response)

    async def respond(self, request: Request) -> HttpResponse:
        """Check caller, method, rate, scope and body, then call the handler."""
        method = str(request.method).lower()
        if method == "options":
            _refuse_preflight(request)
        self.caller = await authentication.authenticate(request)
        if method not in METHODS or not hasattr(self, method):
            raise exceptions.MethodNotAllowed(
                method,
                f"this path accepts {', '.join(self.allowed_methods)}",
            )
        authentication.check_rate(self.caller)
        if method == "options":
            return Response()
        authentication.check_scope(self.caller, self.scope)
        self._check_body(request)
        handler = getattr(self, method)
        response: HttpResponse = await handler(request, *self.args, **self.kwargs)
        return response

    def _check_body(self, request: Request) -> None:
        """Raises `TooLarge`, and `UnsupportedBody` if the body is compressed."""
        size = len(request.body)
        if size > self.max_bytes:
            raise TooLarge(f"the body must have at most {self.max_bytes} bytes")
        coding = request.headers.get("content-encoding", "").strip().lower()
        if size and coding not in ("", "identity"):
            raise UnsupportedBody(
                f"the body has content-encoding {coding[:MAX_QUOTED]!r}: send it "
                "uncompressed"
            )

    def log_action(self, text: str, *values: str, **more: str) -> None:
        """Log an action that moderates users. `more`: fields of the log line."""
        extra = {"by": self.caller.name, **more}
        logger.info(f"{text}, by %s", *values, self.caller.name, extra=extra)  # noqa: G004


def _refuse_preflight(request: Request) -> None:
    """Raises `PermissionDenied` for the CORS preflight of a browser."""
    if "access-control-request-method" in request.headers:
        metrics.API_INVALID.value += 1
        raise exceptions.PermissionDenied(
            "this API is for servers: a page would expose the secret, so browsers may "
            "not call it from other origins. Call it from your backend"
        )


def _rendered(response: HttpResponse) -> HttpResponse:
    """The rendered response. Django would render it in a thread."""
    if not isinstance(response, Response):
        return response
    response.render()
    plain = HttpResponse(response.content, status=response.status_code)
    plain.headers = response.headers
    return plain
