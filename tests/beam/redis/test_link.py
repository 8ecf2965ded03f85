"""The state of Redis and its log lines."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from redis._parsers.base import BaseParser

from beam import redis


def reply(text: str) -> Exception:
    """An error reply as redis-py parses it."""
    parse: Any = BaseParser.parse_error
    error: Exception = parse(text)
    return error


def test_each_kind_of_an_outage_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    link = redis.Link()
    downs: list[str] = []
    link.add_down_listener(lambda: downs.append(link.why))

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
    logged = [message.partition(". ")[0] for message in caplog.messages]
    assert logged == [
        "Redis refuses commands: OOM",
        "Redis refuses commands: NOREPLICAS",
        "Redis accepts writes again",
    ]


@pytest.mark.parametrize("text", ["READONLY You can't write", "MASTERDOWN Link with"])
def test_a_link_to_a_replica_is_moved_until_a_master_answers(text: str) -> None:
    link = redis.Link()

    link.replied(reply(text))
    assert link.moved
    link.failed(TimeoutError())
    assert link.moved
    link.answered()

    assert not link.moved
