"""Parses bodies of requests: JSON, and forms with nested names."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request

from beam.config.conf import conf
from rooms.api.errors import UnsupportedBody
from rooms.protocol.frame import BadFrame
from rooms.protocol.json_text import loads
from rooms.protocol.query_params import InvalidParams, assign, parse_params

# A message quotes at most so many characters of a header.
MAX_QUOTED = 100


class JsonParser(BaseParser):
    """Parses `application/json` by the rules of frames."""

    media_type = "application/json"
    # How many levels of the body enclose a payload.
    levels = 1

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` if the body is not JSON, or is nested too deeply."""
        try:
            return loads(stream.read(), conf().max_message_depth + self.levels)
        except BadFrame as error:
            raise exceptions.ParseError(f"not JSON: {error}") from None


class BatchParser(JsonParser):
    """Parses a batch: a payload is in an item, in a list, in the body."""

    levels = 3


class BracketFormParser(BaseParser):
    """Parses `application/x-www-form-urlencoded`, nested as `payload[a]=1`."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` if the body is not a form."""
        try:
            return parse_params(_form_of(stream.read()))
        except InvalidParams as error:
            raise exceptions.ParseError(str(error)) from None


def _form_of(body: bytes) -> bytes:
    """The body, if it is a form. Raises `UnsupportedBody` if it is JSON.

    curl and HTTP clients of many languages send any text as a form.
    """
    if body.lstrip()[:1] in (b"{", b"["):
        raise UnsupportedBody(
            "the body looks like JSON, but its content type is that of a form: send "
            "it with content-type: application/json"
        )
    return body


class BracketMultiPartParser(MultiPartParser):
    """Parses `multipart/form-data`, nested in the same way; files are ignored."""

    def parse(self, stream: Any, media_type: Any = None, context: Any = None) -> Any:
        """Raises `ParseError` if the body is not a form."""
        form = super().parse(stream, media_type, context)
        params: dict[str, Any] = {}
        try:
            for key, value in form.data.items():
                assign(params, key, str(value))
        except InvalidParams as error:
            raise exceptions.ParseError(str(error)) from None
        return params


class ByContentType(DefaultContentNegotiation):
    """Chooses the parser of a body by its content type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """The parser of the content type. Raises `UnsupportedBody`."""
        parser = super().select_parser(request, parsers)
        if parser is not None:
            return parser
        kinds = "application/json" + (", or a form" if len(parsers) > 1 else "")
        given = request.content_type
        if not given:
            raise UnsupportedBody(
                f"the content type is missing: send content-type: {kinds}"
            )
        raise UnsupportedBody(
            f"the content type {given[:MAX_QUOTED]!r} is not supported: send {kinds}"
        )
