"""The error codes of the REST API: the values of `error.code`. Pure."""

from __future__ import annotations

import enum


class ErrorCode(enum.StrEnum):
    """Why a request, or one event of a batch, failed.

    `status` is the HTTP status of the answer, `meaning` its description in
    OpenAPI. Single events of a batch have `INVALID` or `UNAVAILABLE`. Each code has
    a row in `docs/http-api.md`.
    """

    status: int
    meaning: str

    INVALID = "invalid", 400, "a value is not valid (`fields` lists the reasons)"
    MALFORMED = "malformed", 400, "the body cannot be parsed, or is not an object"
    UNAUTHORIZED = "unauthorized", 401, "the secret or API key is missing or wrong"
    FORBIDDEN = "forbidden", 403, "the API key lacks the scope"
    NOT_FOUND = "not_found", 404, "there is nothing at this path"
    HISTORY_OFF = "history_off", 404, "the room keeps no history"
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "see the header `Allow`"
    NOT_ACCEPTABLE = "not_acceptable", 406, "`Accept` excludes what the path returns"
    TOO_LARGE = "too_large", 413, "the body is too large"
    UNSUPPORTED_MEDIA_TYPE = (
        "unsupported_media_type",
        415,
        "the content type is missing or not supported, or the body is compressed",
    )
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency_key_reused",
        422,
        "the Idempotency-Key was used with another body",
    )
    RATE_LIMITED = (
        "rate_limited",
        429,
        "too many requests (`Retry-After` is the number of seconds to wait)",
    )
    FAILED = "failed", 500, "an unexpected error (the log of Beam has a traceback)"
    UNAVAILABLE = (
        "unavailable",
        503,
        "Redis or the database is unavailable (the message names which)",
    )

    def __new__(cls, code: str, status: int, meaning: str) -> ErrorCode:
        """A member that is equal to the text of its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.meaning = meaning
        return member


def code_of(status: int) -> ErrorCode | None:
    """The first code with an HTTP status; None if no code has it."""
    return next((code for code in ErrorCode if code.status == status), None)
