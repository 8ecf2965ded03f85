"""Retries: when, after which pause, and under which key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from beam_client import (
    BeamError,
    Unavailable,
)

from tests.python_client.script import REFUSED, Script


@pytest.mark.parametrize(
    "answers",
    [
        (503, 200),
        (REFUSED, 200),
        (503, REFUSED, 200),
        (429, 503, 200),
        (502, 504, 200),
        (httpx.ReadTimeout("slow"), 200),
        (httpx.DecodingError("garbled"), 200),
    ],
)
async def test_retries_have_the_same_idempotency_key(
    no_pauses: list[float], answers: tuple[Any, ...]
) -> None:
    server = Script(*answers)
    server.beam().publish("r")
    other = Script(*answers)
    await other.async_beam().publish("r")

    for script in (server, other):
        keys = {request.headers["Idempotency-Key"] for request in script.requests}
        assert len(script.requests) == len(answers)
        assert len(keys) == 1
    assert len(no_pauses) == 2 * (len(answers) - 1)
    assert server.requests[0].headers["secret"] == "s"
    assert other.requests[0].headers["Authorization"] == "Bearer k"


def test_every_call_has_its_own_idempotency_key() -> None:
    server = Script(200, 200)
    beam = server.beam()

    beam.publish("r")
    beam.publish("r")

    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert len(keys) == 2


async def test_the_pause_is_that_of_retry_after(no_pauses: list[float]) -> None:
    answers = ((429, {"Retry-After": "20"}), (503, {"Retry-After": "7"}), 200)
    Script(*answers).beam().publish("r")
    await Script(*answers).async_beam().publish("r")

    assert no_pauses == [20.0, 7.0, 20.0, 7.0]


def test_retry_after_may_be_a_date(no_pauses: list[float]) -> None:
    def answer(seconds: float) -> tuple[int, dict[str, str]]:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        return (503, {"Retry-After": format_datetime(at, usegmt=True)})

    Script(answer(25), answer(-1_000), 200).beam().publish("r")

    assert 20 < no_pauses[0] <= 25
    assert no_pauses[1] == 0


async def test_a_retry_after_above_max_wait_raises_at_once(
    no_pauses: list[float],
) -> None:
    answers = (429, {"Retry-After": "31"})
    server = Script(answers)
    with pytest.raises(Unavailable, match="429 some_code: why") as caught:
        server.beam().publish("r")
    assert caught.value.retry_after == 31
    with pytest.raises(Unavailable):
        await Script(answers).async_beam().publish("r")
    with pytest.raises(Unavailable):
        Script((429, {"Retry-After": "9" * 400})).beam(max_wait=240).publish("r")

    assert no_pauses == []
    assert len(server.requests) == 1


async def test_max_wait_limits_the_sum_of_all_pauses(
    no_pauses: list[float],
) -> None:
    answers = ((429, {"Retry-After": "6"}), (429, {"Retry-After": "5"}))
    beam = Script(*answers, *answers).beam(max_wait=10)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            beam.publish("r")
        assert caught.value.retry_after == 5
    with pytest.raises(Unavailable):
        await Script(*answers).async_beam(max_wait=10).publish("r")

    assert no_pauses == [6.0, 6.0, 6.0]


@pytest.mark.parametrize("header", ["soon", "²", "-3", "1.5", ""])
def test_an_invalid_retry_after_is_ignored(no_pauses: list[float], header: str) -> None:
    Script((503, {"Retry-After": header.encode()}), 200).beam().publish("r")

    assert 0 < no_pauses[0] <= 0.2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
async def test_other_statuses_are_raised_at_once(status: int) -> None:
    server = Script(status)
    with pytest.raises(BeamError) as caught:
        server.beam().publish("r")
    with pytest.raises(BeamError):
        await Script(status).async_beam().publish("r")

    error = caught.value
    assert (error.status, error.code, error.message) == (status, "some_code", "why")
    assert error.fields == {"a": ["is missing"]}
    assert not isinstance(error, Unavailable)
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [429, 502, 503, 504, REFUSED])
async def test_the_last_try_raises_the_error(
    no_pauses: list[float], answer: Any
) -> None:
    server = Script(*[answer] * 3)
    with pytest.raises(Unavailable):
        server.beam().publish("r")
    with pytest.raises(Unavailable):
        await Script(*[answer] * 5).async_beam(tries=5).publish("r")

    assert server.answers == []
    assert len(no_pauses) == 2 + 4


def test_one_try_is_one_try(no_pauses: list[float]) -> None:
    for answer in (503, REFUSED):
        with pytest.raises(Unavailable):
            Script(answer).beam(tries=1).publish("r")

    assert no_pauses == []
