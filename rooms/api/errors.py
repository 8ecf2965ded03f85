"""Owns how a refusal is said: one shape for all of them."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response

from beam import database, redis
from beam.telemetry import metrics
from rooms.messaging import publisher

logger = logging.getLogger(__name__)

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
AWAY = (redis.RedisError, OSError, publisher.Unavailable)


QUIET_SECONDS = 10.0
# Of the fields that are not valid: so many are in the message, and so long it is.
MAX_SUMMARIZED = 3
MAX_SUMMARY = 500
COUNTED = {
    **dict.fromkeys((400, 413, 415, 422), metrics.API_INVALID),
    **dict.fromkeys((404, 405), metrics.API_NOT_FOUND),
    500: metrics.API_FAILED,
    503: metrics.API_UNAVAILABLE,
}


class TooLarge(exceptions.APIException):
    """The body is larger than Beam takes."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class Unread(exceptions.APIException):
    """The body is of a kind that is not read: the message says what is."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE


class KeyReused(exceptions.APIException):
    """An idempotency key came with another body."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = "this Idempotency-Key was used with another body"


class HistoryOff(exceptions.APIException):
    """The room keeps no history."""

    status_code = status.HTTP_404_NOT_FOUND
    default_detail = "this room keeps no history"
    default_code = "history_off"


def answer_error(error: Exception, context: dict[str, Any]) -> Response:
    """Every refusal in one shape: `{"error": {"code", "message", "fields"?}}`.

    What nobody foresaw is a 500 in that shape, with a traceback in the log.
    """
    answer = _of(error)
    counter = COUNTED.get(answer.status_code)
    if counter is not None:
        counter.value += 1
    return answer


def _of(error: Exception) -> Response:
    if isinstance(error, DatabaseError):
        trouble.tell(error)
        text = f"the database is unavailable ({database.described(error)}); try again"
        return _error(503, "unavailable", text)
    if isinstance(error, AWAY):
        trouble.tell(error)
        return _error(503, "unavailable", "Redis is unavailable; try again")
    if isinstance(error, RequestDataTooBig):
        return _error(413, "too_large", "the body is far too large")
    if isinstance(error, SuspiciousOperation):
        return _error(400, "malformed", "the request is not what HTTP allows")
    if isinstance(error, exceptions.ValidationError):
        message = f"the request is not valid: {summary(error.detail)}"
        return _error(400, "invalid", message, error.detail)
    if isinstance(error, exceptions.ParseError):
        return _error(400, "malformed", str(error.detail))
    if isinstance(error, exceptions.APIException):
        return _answer(error)
    logger.error("A request failed", exc_info=error)
    return _error(500, "failed", "something went wrong here; the log says what")


class Trouble:
    """Why requests are answered with 503: a line in the log, not one a request."""

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def tell(self, error: Exception) -> None:
        """Log, unless that was done a moment ago."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            # Its text may hold what was asked for; its kind is enough.
            kind = database.described(error)
            logger.warning("Requests are answered with 503: %s", kind)


trouble = Trouble()


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


def summary(fields: Any) -> str:
    """The first reasons of the first fields, for callers that show one line."""
    if not isinstance(fields, dict):
        return str(fields)[:MAX_SUMMARY]
    first = {name: _first(reasons) for name, reasons in fields.items()}
    lines = [f"{name}: {text}" if name else text for name, text in first.items()]
    return "; ".join(lines[:MAX_SUMMARIZED])[:MAX_SUMMARY]


def _first(reasons: Any) -> str:
    first = reasons[0] if isinstance(reasons, list) and reasons else reasons
    return str(first).rstrip(".")


def _error(code: int, name: str, message: str, fields: Any = None) -> Response:
    error = {"code": name, "message": message}
    if fields is not None:
        error["fields"] = fields
    return Response({"error": error}, status=code)


@csrf_exempt
def not_found(request: Any, exception: Any = None) -> JsonResponse:
    """The answer for an unknown path."""
    metrics.API_NOT_FOUND.value += 1
    error = {"code": "not_found", "message": "there is nothing at this path"}
    return JsonResponse({"error": error}, status=404)


READING = ("GET", "HEAD", "OPTIONS")


def other_method(request: HttpRequest) -> HttpResponse | None:
    """The answer of a path that is only read to another method; None: go on."""
    if request.method in ("GET", "HEAD"):
        return None
    if request.method == "OPTIONS":
        answer = HttpResponse()
        del answer["Content-Type"]
    else:
        metrics.API_NOT_FOUND.value += 1
        message = f"this path takes {', '.join(READING)}"
        error = {"code": "method_not_allowed", "message": message}
        answer = JsonResponse({"error": error}, status=405)
    answer["Allow"] = ", ".join(READING)
    return answer
