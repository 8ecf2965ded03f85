"""What is told of a Redis that is away."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from beam import redis
from beam.layer import RedisLayer
from tests.processes import RedisServer


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RedisConnectionError("Error 111 connecting"), None),
        (TimeoutError(), "TimeoutError"),
        (OSError(111, "Connection refused"), None),
        (ResponseError("Command # 1 (PUBLISH r sesame) failed"), "ResponseError"),
        (MasterNotFoundError("<Redis(password=sesame)>"), "MasterNotFoundError"),
    ],
)
def test_only_what_a_connection_says_is_told(
    error: BaseException, told: str | None
) -> None:
    assert redis.described(error) == (told or f"{type(error).__name__}: {error}")


@pytest.mark.redis
async def test_what_redis_refuses_is_not_quoted(
    shared_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A user that may do nothing but connect: the answer quotes the command."""
    admin: Any = redis.connect(shared_redis.url)
    await admin.execute_command(
        "ACL", "SETUSER", "eve", "on", ">pw", "+@connection", "+hello", "+client"
    )
    login = shared_redis.url.replace("redis://", "redis://eve:pw@")
    layer = RedisLayer(hosts=[login])
    caplog.set_level(logging.DEBUG)
    try:
        with pytest.raises(redis.RedisError) as caught:
            await layer.here().publish("r", {"type": "event", "text": "sesame"})
        redis.link().failed(caught.value)
    finally:
        await admin.execute_command("ACL", "DELUSER", "eve")
        await admin.aclose()
        await layer.flush()

    assert "sesame" in str(caught.value)
    assert "Redis is away: NoPermissionError" in caplog.text
    assert "sesame" not in caplog.text
