"""Publishing over Redis."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from beam import redis
from beam.redis.channel_layer import RedisLayer
from tests.processes import RedisServer


@pytest.mark.redis
async def test_a_refused_message_is_not_quoted_in_the_log(
    shared_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The user may only connect; the error reply quotes the command."""
    admin: Any = redis.connect(shared_redis.url)
    await admin.execute_command(
        "ACL", "SETUSER", "eve", "on", ">pw", "+@connection", "+hello", "+client"
    )
    login = shared_redis.url.replace("redis://", "redis://eve:pw@")
    layer = RedisLayer(hosts=[login])
    caplog.set_level(logging.DEBUG)
    try:
        with pytest.raises(redis.Unavailable) as caught:
            await layer.loop_layer().publish("r", {"type": "event", "text": "sesame"})
    finally:
        await admin.execute_command("ACL", "DELUSER", "eve")
        await admin.aclose()
        await layer.flush()

    assert "sesame" in str(caught.value.__cause__)
    assert "sesame" not in str(caught.value)
    assert "Redis refuses commands: NOPERM." in caplog.text
    assert "sesame" not in caplog.text
