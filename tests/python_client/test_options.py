"""Options: URL, credentials, tries."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from beam_client import (
    AsyncBeam,
    Beam,
)

from tests.python_client.script import Script

BOTH: list[type[Beam | AsyncBeam]] = [Beam, AsyncBeam]


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "who",
    [
        {},
        {"secret": "s", "key": "k"},
        {"secret": ""},
        {"key": ""},
        {"secret": "", "key": ""},
        {"secret": None, "key": ""},
    ],
)
def test_either_a_secret_or_a_key_is_needed(
    client: type[Beam | AsyncBeam], who: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="either"):
        client("http://beam", **who)


@pytest.mark.parametrize("who", ["s\n", " s", "s\r\nX: 1", "é"])
def test_a_secret_fits_in_a_header(who: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        Beam("http://beam", secret=who)


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "beam",
        "beam.example.com:443",
        "localhost:5000",
        "//beam",
        "ws://beam",
        "http://",
        "https:beam",
        "http://beam:port",
        "http://beam?a=1",
        "http://beam/#a",
    ],
)
def test_an_invalid_url_is_refused(client: type[Beam | AsyncBeam], url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|must not have a query"):
        client(url, secret="s")


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "numbers",
    [
        {"tries": 0},
        {"tries": -1},
        {"max_wait": -1},
        {"max_wait": float("nan")},
        # After this time Beam would handle a repeated request again.
        {"max_wait": 301},
    ],
)
def test_invalid_numbers_are_refused(
    client: type[Beam | AsyncBeam], numbers: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"tries must|max_wait must"):
        client("http://beam", secret="s", **numbers)


def test_the_url_may_have_a_path() -> None:
    server = Script(200)
    transport = httpx.MockTransport(server)
    Beam("http://proxy/beam/", secret="s", transport=transport).publish("r")

    assert server.requests[0].url.path == "/beam/api/v1/push_room_event"
