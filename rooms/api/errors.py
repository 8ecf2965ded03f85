"""Exceptions of the REST API, and the answer that each error becomes."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseError
from rest_framework import exceptions
from rest_framework.response import Response

from beam import database, redis
from beam.telemetry import metrics
from rooms.api.error_codes import ErrorCode, code_of

logger = logging.getLogger(__name__)


QUIET_SECONDS = 10.0
# The message names at most 3 of the fields that are not valid, in 500 characters.
MAX_SUMMARIZED = 3
MAX_SUMMARY = 500
COUNTED = {
    **dict.fromkeys((400, 413, 415, 422), metrics.API_INVALID),
    **dict.fromkeys((404, 405), metrics.API_NOT_FOUND),
    500: metrics.API_FAILED,
    503: metrics.API_UNAVAILABLE,
}


class TooLarge(exceptions.APIException):
    """The body is larger than the request may have."""

    default_code = ErrorCode.TOO_LARGE
    status_code = default_code.status


class UnsupportedBody(exceptions.APIException):
    """The content type is not supported, or the body is compressed."""

    default_code = ErrorCode.UNSUPPORTED_MEDIA_TYPE
    status_code = default_code.status


class KeyReused(exceptions.APIException):
    """The idempotency key was used with another body."""

    default_code = ErrorCode.IDEMPOTENCY_KEY_REUSED
    status_code = default_code.status
    default_detail = "this Idempotency-Key was used with another body"


class HistoryOff(exceptions.APIException):
    """The room keeps no history."""

    default_code = ErrorCode.HISTORY_OFF
    status_code = default_code.status
    default_detail = "this room keeps no history"


def answer_error(error: Exception, context: dict[str, Any]) -> Response:
    """The answer to an error: `{"error": {"code", "message", "fields"?}}`.

    An unexpected error gets 500 `failed`, and a traceback in the log.
    """
    answer = _of(error)
    counter = COUNTED.get(answer.status_code)
    if counter is not None:
        counter.value += 1
    return answer


def _of(error: Exception) -> Response:
    if isinstance(error, DatabaseError):
        unavailable_log.warn(error)
        text = f"the database is unavailable ({database.described(error)}); try again"
        return _error(ErrorCode.UNAVAILABLE, text)
    if isinstance(error, redis.Unavailable):
        unavailable_log.warn(error)
        return _error(ErrorCode.UNAVAILABLE, "Redis is unavailable; try again")
    if isinstance(error, RequestDataTooBig):
        return _error(ErrorCode.TOO_LARGE, "the body is too large")
    if isinstance(error, SuspiciousOperation):
        return _error(ErrorCode.MALFORMED, "the request breaks the rules of HTTP")
    if isinstance(error, exceptions.APIException) and (code := _code(error)):
        return _answer(error, code)
    logger.error("A request of the API failed", exc_info=error)
    return _error(ErrorCode.FAILED, ErrorCode.FAILED.meaning)


class UnavailableLog:
    """Logs why requests are answered with 503, at most once in `QUIET_SECONDS`."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def warn(self, error: Exception) -> None:
        """Log the kind of an error, unless one was logged recently."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            # The text of an error may contain parts of the request.
            kind = database.described(error)
            logger.warning("Requests of the API are answered with 503: %s", kind)


unavailable_log = UnavailableLog()


def _code(error: exceptions.APIException) -> ErrorCode | None:
    """The code of an exception of this package or of DRF; None if it has none."""
    if isinstance(error, exceptions.NotAuthenticated):
        # DRF makes it a 403 if no authenticator names a header.
        return ErrorCode.UNAUTHORIZED
    if isinstance(error, exceptions.ParseError):
        return ErrorCode.MALFORMED
    own = error.get_codes()
    return own if isinstance(own, ErrorCode) else code_of(error.status_code)


def _answer(error: exceptions.APIException, code: ErrorCode) -> Response:
    if isinstance(error, exceptions.ValidationError):
        message = f"the request is not valid: {summary(error.detail)}"
        return _error(code, message, error.detail)
    answer = _error(code, str(error.detail))
    if code is ErrorCode.UNAUTHORIZED:
        answer["WWW-Authenticate"] = "Bearer"
    wait = getattr(error, "wait", None)
    if wait is not None:
        answer["Retry-After"] = str(max(1, round(wait)))
    return answer


def summary(fields: Any) -> str:
    """The first reason of each of the first fields, in one line."""
    if not isinstance(fields, dict):
        return str(fields)[:MAX_SUMMARY]
    first = {name: _first(reasons) for name, reasons in fields.items()}
    lines = [f"{name}: {text}" if name else text for name, text in first.items()]
    return "; ".join(lines[:MAX_SUMMARIZED])[:MAX_SUMMARY]


def _first(reasons: Any) -> str:
    first = reasons[0] if isinstance(reasons, list) and reasons else reasons
    return str(first).rstrip(".")


def error_body(code: ErrorCode, message: str, fields: Any = None) -> dict[str, Any]:
    """The JSON of an error: its code, its message, and the reasons by field."""
    error = {"code": code, "message": message}
    return error if fields is None else error | {"fields": fields}


def _error(code: ErrorCode, message: str, fields: Any = None) -> Response:
    return Response({"error": error_body(code, message, fields)}, status=code.status)
