"""Owns how the API is described: OpenAPI 3, with every answer and example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from rooms.api.errors import CODES

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
    415: "the body is of a kind that is not read",
    422: "the Idempotency-Key was used with another body",
    429: "too many requests; `Retry-After` says how long to wait",
    503: "Redis or the database is away: try again",
}
USUAL = (401, 403, 429, 503)
BODY = (400, 413, 415)
"""What a request with a body may be answered with beside."""

IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="The same key and body for five minutes: one answer, done once.",
)


def refusal(status: int) -> OpenApiResponse:
    """An error answer, with an example of its code."""
    body = {"error": {"code": CODES[status], "message": WHEN[status]}}
    example = OpenApiExample(CODES[status], body, status_codes=[str(status)])
    return OpenApiResponse(_ERROR, WHEN[status], [example])


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
    operation: str,
) -> Callable[[Handler], Handler]:
    """Decorate a handler with what it takes and answers."""
    good = OpenApiResponse(
        answer,
        summary,
        [OpenApiExample("answer", example, response_only=True)] if example else [],
    )
    responses = {200: good} | {status: refusal(status) for status in (*errors, *USUAL)}
    decorator: Callable[[Handler], Handler] = extend_schema(
        operation_id=operation,
        summary=summary,
        request=request,
        responses=responses,
        parameters=list(parameters),
        tags=["Beam"],
    )
    return decorator
