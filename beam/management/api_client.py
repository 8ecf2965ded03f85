"""Calls the REST API of a running server: for commands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import CommandError

from beam.config.conf import conf
from beam.config.environment import url_of


def default_url() -> str:
    """The URL of the server on `HOST` and `PORT`."""
    return url_of(settings.HOST.strip("[]"), settings.PORT)


def request(method: str, path: str, url: str = "", **options: Any) -> httpx.Response:
    """Send a request, and return the successful response. Raises `CommandError`.

    `url`: of another server than `default_url()`. `options`: of `httpx.request`.
    """
    secrets, base = conf().api_secrets, (url or default_url()).rstrip("/")
    if not secrets:
        raise CommandError("Set BEAM_API_SECRET: the server requires it.")
    try:
        answer = httpx.request(
            method, base + path, headers={"secret": secrets[0]}, **options
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(
            f"No server answers at {base}: {str(error) or type(error).__name__}. Start "
            "the server (`make run`), or set HOST and PORT to its address."
        ) from None
    if answer.is_success:
        return answer
    raise CommandError(f"{base} refused the request: {_reason(answer)}")


def _reason(answer: httpx.Response) -> str:
    """The error of the server, or what its status means, in one line."""
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        status = answer.status_code
        return f"status {status}. This may be another server: check HOST and PORT."
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return (
            f"{code}. BEAM_API_SECRET of this shell is not the server's: set both to "
            "the same value, and DEBUG, too (`make run` sets DEBUG=1)."
        )
    return " ".join(f"{code}: {message}".split())
