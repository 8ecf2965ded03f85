"""What Beam relies on in psycopg."""

from __future__ import annotations

import socket
from collections.abc import Generator

import pytest
from psycopg import errors, waiting

from tests.upstream.relied_on import relies_on


@relies_on(
    "psycopg", "_WaitTimeout", to="abort connections on which PostgreSQL is silent"
)
def test_a_wait_that_takes_too_long_raises_an_error_of_its_own() -> None:
    def waits_for_an_answer() -> Generator[waiting.Wait, waiting.Ready | int, None]:
        while True:
            yield waiting.Wait.R

    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(errors._WaitTimeout):
        waiting.wait(waits_for_an_answer(), ours.fileno(), 0.01, 0.02)
