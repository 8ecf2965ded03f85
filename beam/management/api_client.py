"""Asks the running server over HTTP, as a backend does: for commands."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import CommandError

from beam.config.conf import conf
from beam.config.environment import url_of


def default_url() -> str:
    """Where the server of this environment listens: `HOST` and `PORT`."""
    return url_of(settings.HOST.strip("[]"), settings.PORT)


def request(method: str, path: str, url: str = "", **options: Any) -> httpx.Response:
    """The answer, of a server that took the request. Raises `CommandError`.

    `url`: another server than that of this environment; `options`: those of
    `httpx.request`.
    """
    secrets, base = conf().api_secrets, (url or default_url()).rstrip("/")
    if not secrets:
        raise CommandError("Set BEAM_API_SECRET: the server asks for it.")
    try:
        answer = httpx.request(
            method, base + path, headers={"secret": secrets[0]}, **options
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(
            f"No Beam answers at {base}: {str(error) or type(error).__name__}. Start "
            "the server (`make run`), or set HOST and PORT to where it listens."
        ) from None
    if answer.is_success:
        return answer
    raise CommandError(f"{base} refused: {_reason(answer)}")


def _reason(answer: httpx.Response) -> str:
    """What the server said, or what its status means, in one line."""
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        status = answer.status_code
        return f"status {status}. Is it Beam that listens there? Check HOST and PORT."
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return (
            f"{code}. This shell's BEAM_API_SECRET is not the server's: set both to "
            "the same, and DEBUG too (`make run` has DEBUG=1)."
        )
    return " ".join(f"{code}: {message}".split())
