"""The listening socket."""

from __future__ import annotations

import socket

import pytest

from beam.config.environment import url_of
from beam.server.listening import listen
from tests.processes import needs_ipv6


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("::ffff:127.0.0.1", "http://[::ffff:127.0.0.1]:"),
    ],
)
def test_the_socket_has_the_family_of_the_address(host: str, url: str) -> None:
    if ":" in host:
        needs_ipv6()

    with listen(host, 0) as listening:
        address, port, *_ = listening.getsockname()
        assert url_of(address, port) == f"{url}{port}"
        with socket.create_connection((host, port), 1):
            pass
