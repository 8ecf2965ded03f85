"""Owns how a call to another service that failed is told: never with its URL.

A URL may hold a password or a key, and the texts of httpx's exceptions hold URLs.
The host and the kind of the failure are enough.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx


def kind(error: Exception | None) -> str:
    """What happened, in a word or two."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    return type(error).__name__


def host(url: str) -> str:
    """Whom a URL names."""
    return urlsplit(url).hostname or ""
