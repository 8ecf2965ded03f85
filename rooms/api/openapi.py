"""Owns how the API is described: OpenAPI 3, with every answer and example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from rooms.api.errors import CODES
from rooms.protocol import identifiers

Handler = TypeVar("Handler", bound=Callable[..., Any])

_ERROR = inline_serializer(
    "Error",
    {
        "error": inline_serializer(
            "ErrorBody",
            {
                "code": serializers.CharField(),
                "message": serializers.CharField(),
                "fields": serializers.DictField(required=False),
            },
        )
    },
)
WHEN = {
    400: "malformed or not valid; `fields` says which",
    401: "the secret or API key is missing or wrong",
    403: "the API key lacks the scope",
    404: "there is no such thing",
    413: "the body is too large",
    415: "the content type is missing or not read, or the body is compressed",
    422: "the Idempotency-Key was used with another body",
    429: "too many requests; `Retry-After` says how long to wait",
    503: "Redis or the database is unavailable; the message says which",
}
USUAL = (401, 403, 429, 503)
BODY = (400, 413, 415)
"""What a request with a body may be answered with beside."""

NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": identifiers.MAX_ROOM_ID,
    "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
}
ROOM = OpenApiParameter("room_id", NAME, OpenApiParameter.PATH)
USER = OpenApiParameter("user_id", NAME, OpenApiParameter.PATH)
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    OpenApiParameter.HEADER,
    description="The same key and body for five minutes: one answer, done once.",
)


def refusal(status: int, code: str | None = None) -> OpenApiResponse:
    """An error answer, with an example; `code` where it is not the usual one."""
    name = code or CODES[status]
    error: dict[str, Any] = {"code": name, "message": WHEN[status]}
    if status == 400:
        error["message"] = "the request is not valid: room_id: is missing"
        error["fields"] = {"room_id": ["is missing"]}
    example = OpenApiExample(name, {"error": error}, status_codes=[str(status)])
    return OpenApiResponse(_ERROR, WHEN[status], [example])


class Described(AutoSchema):
    """How a view for backends is described: with its scope, under its tag."""

    view: Any

    def get_tags(self) -> list[str]:
        """What it is about."""
        return [self.view.tag]

    def get_description(self) -> str:  # type: ignore[override]
        """What it does, and what an API key needs for it."""
        text: str = super().get_description()
        if (scope := self.view.scope) is not None:
            text += f"\n\nAn API key needs the scope `{scope}`."
        return text


def shape(name: str, **fields: Any) -> Any:
    """The form of an answer."""
    return inline_serializer(name, fields)


def describe(
    summary: str,
    answer: Any = None,
    *,
    request: Any = None,
    errors: tuple[int, ...] = (),
    parameters: tuple[Any, ...] = (),
    example: Any = None,
    samples: dict[str, Any] | None = None,
    refusals: dict[int, str] | None = None,
    operation: str,
) -> Callable[[Handler], Handler]:
    """Decorate a handler with what it takes and answers.

    `samples`: requests worth showing, by what they do. `refusals`: codes of its
    own, by status.
    """
    good = OpenApiResponse(
        answer,
        summary,
        [OpenApiExample("answer", example, response_only=True)] if example else [],
    )
    codes = refusals or {}
    refused = {one: refusal(one, codes.get(one)) for one in (*errors, *codes, *USUAL)}
    decorator: Callable[[Handler], Handler] = extend_schema(
        operation_id=operation,
        summary=summary,
        request=request,
        responses={200: good} | refused,
        parameters=list(parameters),
        examples=[
            OpenApiExample(name, value, request_only=True)
            for name, value in (samples or {}).items()
        ],
    )
    return decorator
