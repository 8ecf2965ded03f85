"""Scripts that are called by their hash."""

from __future__ import annotations

import pytest

from beam import redis


@pytest.mark.redis
async def test_a_script_that_redis_does_not_know_is_loaded(
    link: redis.Link, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.client().script_flush()

    assert await redis.Script(redis.batch(), "return 7")((), []) == 7
    assert link.up
    assert caplog.messages == []
