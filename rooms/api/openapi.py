"""Describes the API in OpenAPI 3: parameters, answers, errors, examples."""

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
"""Each code and its meaning; the setting `ENUM_NAME_OVERRIDES` names the enum."""
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
"""Errors that every request with a body may be answered with."""

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
    description="For five minutes, the same key and body get the same answer.",
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
"""The error of a request, or of one event of a batch."""

_ERROR = inline_serializer("Error", {"error": ErrorBody()})


def refusals(codes: Iterable[ErrorCode]) -> dict[int, OpenApiResponse]:
    """The answers with these codes, by HTTP status; each code has an example."""
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
    """The description of a view for backends: with its tag and its scope."""

    view: Any

    def get_tags(self) -> list[str]:
        """The tag of the view."""
        return [self.view.tag]

    def get_description(self) -> str:  # type: ignore[override]
        """The docstring of the handler, and the scope that an API key needs."""
        text: str = super().get_description()
        if (scope := self.view.scope) is not None:
            text += f"\n\nAn API key needs the scope `{scope}`."
        return text


def shape(name: str, **fields: Any) -> Any:
    """The schema of an answer, by field."""
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
    """Describe the request and the answers of a handler.

    `summary` and `answer`: of 200. `errors`: the codes of its error answers, in
    addition to `COMMON_ERRORS`. `example`: an answer. `examples`: requests by title.
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
