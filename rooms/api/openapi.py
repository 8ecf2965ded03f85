"""Owns how the API is described: OpenAPI 3, with every answer and example."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

from rooms.api.error_codes import ErrorCode
from rooms.api.errors import error_body
from rooms.protocol import identifiers

Handler = TypeVar("Handler", bound=Callable[..., Any])

ERROR_CODES = [(code.value, code.meaning) for code in ErrorCode]
"""Named `ErrorCode` by `ENUM_NAME_OVERRIDES`."""
COMMON_ERRORS = (
    ErrorCode.UNAUTHORIZED,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAVAILABLE,
)
BODY_ERRORS = (
    ErrorCode.INVALID,
    ErrorCode.MALFORMED,
    ErrorCode.TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
)
"""What a request with a body may also be answered with."""

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


ErrorBody = type(
    inline_serializer(
        "ErrorBody",
        {
            "code": serializers.ChoiceField(ERROR_CODES),
            "message": serializers.CharField(),
            "fields": serializers.DictField(required=False),
        },
    )
)
"""The form of an error: of a request, or of one event of a batch."""

_ERROR = inline_serializer("Error", {"error": ErrorBody()})


def refusals(codes: Iterable[ErrorCode]) -> dict[int, OpenApiResponse]:
    """The error answers with these codes by status, each code with an example."""
    by_status: dict[int, list[ErrorCode]] = {}
    for code in codes:
        by_status.setdefault(code.status, []).append(code)
    return {
        status: OpenApiResponse(
            _ERROR,
            ", or ".join(code.meaning for code in alike),
            [_example(code) for code in alike],
        )
        for status, alike in by_status.items()
    }


def _example(code: ErrorCode) -> OpenApiExample:
    fields = {"room_id": ["is missing"]} if code is ErrorCode.INVALID else None
    message = (
        "the request is not valid: room_id: is missing" if fields else code.meaning
    )
    error = {"error": error_body(code, message, fields)}
    return OpenApiExample(code.value, error, status_codes=[str(code.status)])


class ApiSchema(AutoSchema):
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
    errors: tuple[ErrorCode, ...] = (),
    parameters: tuple[Any, ...] = (),
    example: Any = None,
    examples: dict[str, Any] | None = None,
    operation: str,
) -> Callable[[Handler], Handler]:
    """Decorate a handler with what it takes and answers.

    `examples`: requests worth showing, by what they do. `errors`: the codes of its
    error answers in addition to `COMMON_ERRORS`.
    """
    good = OpenApiResponse(
        answer,
        summary,
        [OpenApiExample("answer", example, response_only=True)] if example else [],
    )
    decorator: Callable[[Handler], Handler] = extend_schema(
        operation_id=operation,
        summary=summary,
        request=request,
        responses={200: good} | refusals((*errors, *COMMON_ERRORS)),
        parameters=list(parameters),
        examples=[
            OpenApiExample(name, value, request_only=True)
            for name, value in (examples or {}).items()
        ],
    )
    return decorator
