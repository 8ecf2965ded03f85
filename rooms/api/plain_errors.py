"""Error answers of paths without a view of DRF."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from beam.telemetry import metrics
from rooms.api.error_codes import ErrorCode
from rooms.api.errors import error_body


def plain_error(code: ErrorCode, message: str) -> JsonResponse:
    """An error, as an answer of plain Django."""
    return JsonResponse({"error": error_body(code, message)}, status=code.status)


@csrf_exempt
def not_found(request: Any, exception: Any = None) -> JsonResponse:
    """The answer for an unknown path."""
    metrics.API_NOT_FOUND.value += 1
    return plain_error(ErrorCode.NOT_FOUND, ErrorCode.NOT_FOUND.meaning)


READING = ("GET", "HEAD", "OPTIONS")


def answer_other_methods(request: HttpRequest) -> HttpResponse | None:
    """The answer to methods other than GET and HEAD; None for these two."""
    if request.method in ("GET", "HEAD"):
        return None
    if request.method == "OPTIONS":
        answer = HttpResponse()
        del answer["Content-Type"]
    else:
        metrics.API_NOT_FOUND.value += 1
        message = f"this path accepts {', '.join(READING)}"
        answer = plain_error(ErrorCode.METHOD_NOT_ALLOWED, message)
    answer["Allow"] = ", ".join(READING)
    return answer
