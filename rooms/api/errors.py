"""Owns how a refusal is said: one shape for all of them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.http import JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response

from beam import redis
from rooms import relay

CODES = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    422: "idempotency_key_reused",
    429: "rate_limited",
    503: "unavailable",
}
AWAY = (redis.RedisError, OSError, DatabaseError, relay.Unavailable)


class TooLarge(exceptions.APIException):
    """The body is larger than Beam takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class KeyReused(exceptions.APIException):
    """An idempotency key came with another body."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "this Idempotency-Key was used with another body"


class HistoryOff(exceptions.APIException):
    """The room keeps no history."""

    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "this room keeps no history"
    default_code = "history_off"


def answer_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """Every refusal in one shape: `{"error": {"code", "message", "fields"?}}`."""
    if isinstance(error, AWAY):
        return _error(503, "unavailable", "Redis or the database is away; try again")
    if isinstance(error, RequestDataTooBig):
        return _error(413, "too_large", "the body is far too large")
    if isinstance(error, exceptions.ValidationError):
        fields = error.get_full_details()
        return _error(400, "invalid", "the request is not valid", fields)
    if isinstance(error, exceptions.ParseError):
        return _error(400, "malformed", str(error.detail))
    if isinstance(error, exceptions.APIException):
        return _answer(error)
    return None


def _answer(error: exceptions.APIException) -> Response:
    # DRF makes 403 of it where no authenticator names a header.
    refused = isinstance(error, exceptions.NotAuthenticated)
    answered = 401 if refused else error.status_code
    code = error.get_codes()
    known = CODES.get(answered, "error")
    answer = _error(
        answered, code if code == "history_off" else known, str(error.detail)
    )
    if refused:
        answer["WWW-Authenticate"] = "Bearer"
    wait = getattr(error, "wait", None)
    if wait is not None:
        answer["Retry-After"] = str(max(1, round(wait)))
    return answer


def _error(code: int, name: str, message: str, fields: Any = None) -> Response:
    error = {"code": name, "message": message}
    if fields is not None:
        error["fields"] = fields
    return Response({"error": error}, status=code)


def not_found(request: Any, exception: Any = None) -> JsonResponse:
    """The answer for a path that is none."""
    error = {"code": "not_found", "message": "there is nothing at this path"}
    return JsonResponse({"error": error}, status=404)
