"""Describes failed calls to other services in a log line, without their URL.

A URL may hold a password or a key, and the texts of httpx's exceptions hold URLs.
The host and the kind of the failure are enough.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx


class BadAnswer(Exception):
    """The answer of a service cannot be used. The text may be logged."""


def kind(error: Exception | None) -> str:
    """What failed, in a few words."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    if isinstance(error, BadAnswer):
        return str(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    return type(error).__name__


def host(url: str) -> str:
    """The host that a URL names."""
    return urlsplit(url).hostname or ""
