"""Requests to other services: redirects."""

from __future__ import annotations

import httpx
import pytest

from rooms.auth.failure_texts import BadAnswer
from rooms.auth.http_client import fetch, is_downgrade


@pytest.mark.parametrize(
    ("old", "new", "is_one"),
    [
        ("https://a/b", "https://c/d", False),
        ("http://a/b", "https://a/b", False),
        ("http://a/b", "http://c/d", False),
        ("https://a/b", "http://a/b", True),
    ],
)
def test_a_redirect_from_https_to_http_is_a_downgrade(
    old: str, new: str, is_one: bool
) -> None:
    assert is_downgrade(httpx.URL(old), httpx.URL(new)) is is_one


async def test_a_downgrade_is_refused_without_a_request() -> None:
    requests = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://id.example/keys"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(BadAnswer, match="from https to http"):
            await fetch(client, "https://id.example/keys", 1.0)

    assert requests == ["https://id.example/keys"]
