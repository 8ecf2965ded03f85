"""What is known and logged of a Redis that is unavailable or refuses."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from redis._parsers.base import BaseParser

from beam import redis
from beam.config.conf import conf
from beam.redis.channel_layer import RedisLayer
from tests.processes import ROOT, RedisServer, redis_server


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
        with pytest.raises(redis.Unavailable) as caught:
            await layer.here().publish("r", {"type": "event", "text": "sesame"})
    finally:
        await admin.execute_command("ACL", "DELUSER", "eve")
        await admin.aclose()
        await layer.flush()

    assert "sesame" in str(caught.value.__cause__)
    assert "sesame" not in str(caught.value)
    assert "Redis refuses commands: NOPERM." in caplog.text
    assert "sesame" not in caplog.text


@pytest.fixture
async def link(
    shared_redis: RedisServer, settings: Settings
) -> AsyncIterator[redis.Link]:
    """The loop's link to a Redis."""
    settings.BEAM = settings.BEAM | {"redis_url": shared_redis.url}
    yield redis.link()
    await redis.close()


@pytest.mark.redis
async def test_an_error_that_is_no_outage_is_logged_by_its_code(
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
    assert line.startswith("Redis is away: ")
    await redis.close()


@pytest.mark.redis
async def test_a_call_on_a_connection_that_was_given_up_is_no_outage(
    link: redis.Link, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(redis.batch().call("BLPOP", "beam:{nothing}", 0))
    while not await blocked():  # noqa: ASYNC110 - Redis says it
        await asyncio.sleep(0.01)

    await redis.reconnect()
    with pytest.raises(redis.Unavailable):
        await waiting

    assert link.up
    assert caplog.messages == []
    assert await redis.batch().call("PING")


async def blocked() -> bool:
    """Whether a client waits in Redis."""
    async with redis.connect(conf().redis_url) as client:
        return bool((await client.info("clients"))["blocked_clients"])


@pytest.mark.redis
async def test_a_script_that_redis_does_not_know_is_no_error(
    link: redis.Link, caplog: pytest.LogCaptureFixture
) -> None:
    await redis.client().script_flush()

    assert await redis.Script(redis.batch(), "return 7")((), []) == 7
    assert link.up
    assert caplog.messages == []


def reply(text: str) -> Exception:
    """An error reply, as redis-py reads it."""
    parse: Any = BaseParser.parse_error
    error: Exception = parse(text)
    return error


def test_each_kind_of_an_outage_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    link = redis.Link()
    downs: list[str] = []
    link.on_down = lambda: downs.append(link.why)

    for text in ("OOM command not allowed", "NOREPLICAS Not enough") * 2:
        link.replied(reply(text))
    link.failed(TimeoutError())
    assert (link.up, link.why) == (False, "refuses commands: NOREPLICAS")
    link.failed(TimeoutError(), probed=True)
    assert link.why == "TimeoutError"
    link.failed(reply("OOM command not allowed"), probed=True)
    link.answered()
    link.answered()

    assert (link.up, link.why, downs) == (True, "", ["refuses commands: OOM"])
    told = [message.partition(". ")[0] for message in caplog.messages]
    assert told == [
        "Redis refuses commands: OOM",
        "Redis refuses commands: NOREPLICAS",
        "Redis accepts writes again",
    ]


@pytest.mark.parametrize("text", ["READONLY You can't write", "MASTERDOWN Link with"])
def test_a_replica_has_moved_until_a_master_answers(text: str) -> None:
    link = redis.Link()

    link.replied(reply(text))
    assert link.moved
    link.failed(TimeoutError())
    assert link.moved
    link.answered()

    assert not link.moved


def test_a_probe_tries_every_command_of_presence() -> None:
    folder = ROOT / "presence"
    scripts = "".join(path.read_text() for path in folder.glob("lua/*.lua"))
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    used = set(re.findall(r"redis[.]call\('([A-Z]+)'", scripts))
    used |= set(re.findall(r'[(]"([A-Z]{3,})"', code))

    assert {"HGETALL", "ZREM", "SCAN", "ZRANGEBYLEX"} < used
    assert used <= set(re.findall(r"'([A-Z]+)'", redis.PROBE))
