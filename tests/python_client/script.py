"""A server that sends the answers of a test."""

from __future__ import annotations

from typing import Any

import httpx
from beam_client import (
    AsyncBeam,
    Beam,
)

DETAILS = {"room_id": "r", "sessions": 2, "users": 1, "open": True, "limits": {}}


class Script:
    """A server that sends the given answers: a status, headers, a body, or an error.

    An answer may also be an `httpx.Response`.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # A new response: httpx binds one to the client that read it.
            headers, content = answer.headers, answer.content
            return httpx.Response(answer.status_code, headers=headers, content=content)
        if isinstance(answer, dict):
            return httpx.Response(200, json=answer)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        fields = {"a": ["is missing"]}
        body = {"error": {"code": "some_code", "message": "why", "fields": fields}}
        return httpx.Response(
            status, headers=headers, json=body if status > 399 else None
        )

    def beam(self, **options: Any) -> Beam:
        """A client of this server."""
        transport = httpx.MockTransport(self)
        return Beam("http://beam", secret="s", transport=transport, **options)

    def async_beam(self, **options: Any) -> AsyncBeam:
        """An async client of this server."""
        transport = httpx.MockTransport(self)
        return AsyncBeam("http://beam", key="k", transport=transport, **options)


REFUSED = httpx.ConnectError("refused")
