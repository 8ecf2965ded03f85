"""The common part of `Beam` and `AsyncBeam`: options, credentials, requests."""

from __future__ import annotations

from typing import Any

import httpx

from beam_client.calls import Call
from beam_client.errors import Unavailable
from beam_client.retries import MAX_TOTAL_WAIT, RetryBudget

TRIES = 3
MAX_WAIT = 30.0


class Client:
    """The options of a client, checked."""

    def __init__(
        self,
        url: str,
        secret: str | None,
        key: str | None,
        tries: int,
        max_wait: float,
    ) -> None:
        _check_url(url)
        if tries < 1:
            raise ValueError("tries must be at least 1")
        if not 0 <= max_wait <= MAX_TOTAL_WAIT:
            raise ValueError(f"max_wait must be 0 to {MAX_TOTAL_WAIT:.0f} seconds")
        self._headers = _credentials(secret, key)
        self._tries = tries
        self._max_wait = max_wait

    def _retry_budget(self) -> RetryBudget:
        return RetryBudget(self._tries, self._max_wait)

    def _request(self, call: Call[Any]) -> dict[str, Any]:
        return {
            "method": call.method,
            "url": call.path,
            "json": call.body,
            "params": call.query,
            "headers": {**self._headers, **call.headers},
        }


def _check_url(url: str) -> None:
    """Raises `ValueError` if the URL cannot be one of Beam."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is not a URL like https://beam.example.com")
    if parsed.query or parsed.fragment:
        raise ValueError(f"{url!r} must not have a query or a fragment")


def _credentials(secret: str | None, key: str | None) -> dict[str, str]:
    """The headers with the credentials. Raises `ValueError`."""
    if bool(secret) == bool(key):
        raise ValueError("either secret or key is required, and must not be empty")
    credential = secret or key or ""
    # It becomes a header. One that is read from a file may end with a line break.
    if credential != credential.strip() or not (
        credential.isascii() and credential.isprintable()
    ):
        raise ValueError("a secret or key must be ASCII, without spaces around it")
    return (
        {"secret": credential} if secret else {"Authorization": f"Bearer {credential}"}
    )


def unreachable(error: httpx.RequestError) -> Unavailable:
    return Unavailable(0, "unreachable", str(error) or type(error).__name__)
