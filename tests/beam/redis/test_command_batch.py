"""Commands to a Redis that is unavailable, or answers with errors."""

from __future__ import annotations

import asyncio

import pytest
from pytest_django.fixtures import Settings

from beam import redis
from beam.config.conf import conf
from tests.processes import redis_server


@pytest.mark.redis
async def test_an_error_that_is_no_outage_is_logged_with_its_code(
    link: redis.Link, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.batch().call("SET", "beam:{errors}:sesame", 1)

    for _ in range(3):
        with pytest.raises(redis.Unavailable):
            await redis.batch().call("HGET", "beam:{errors}:sesame", "field")

    assert link.up
    assert caplog.messages == ["Redis answered a command with an error: WRONGTYPE"]


@pytest.mark.redis
async def test_a_call_without_an_answer_is_not_logged_as_an_error_reply(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server() as server:
        settings.BEAM = settings.BEAM | {"redis_url": server.url}
        await redis.batch().call("PING")
        server.stop()

    for _ in range(2):
        calls = [redis.batch().call("PING") for _ in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(one, redis.Unavailable) for one in results)

    assert not redis.link().up
    [line] = caplog.messages
    assert line.startswith("Redis is unavailable: ")
    await redis.close()


@pytest.mark.redis
async def test_a_call_on_a_connection_that_was_closed_on_purpose_is_no_outage(
    link: redis.Link, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(redis.batch().call("BLPOP", "beam:{nothing}", 0))
    while not await blocked():  # noqa: ASYNC110 - Redis knows it
        await asyncio.sleep(0.01)

    await redis.reconnect()
    with pytest.raises(redis.Unavailable):
        await waiting

    assert link.up
    assert caplog.messages == []
    assert await redis.batch().call("PING")


async def blocked() -> bool:
    """Whether a client of Redis is blocked."""
    async with redis.connect(conf().redis_url) as client:
        return bool((await client.info("clients"))["blocked_clients"])
