"""Which error replies mean that Redis is unavailable."""

from __future__ import annotations

from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from beam.redis import refusals

parsed: Any = BaseParser.parse_error
IN_SCRIPT = "ERR Error running script (call to f_8d57): @user_script:1: "


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'. script: 8d57", "OOM"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
        ("MISCONF Redis is configured to save RDB snapshots", "MISCONF"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
        ("MASTERDOWN Link with MASTER is down", "MASTERDOWN"),
        ("NOPERM this user has no permissions to run the 'evalsha' command", "NOPERM"),
        ("NOPERM ACL failure in script: User default has no permissions", "NOPERM"),
        ("NOAUTH Authentication required.", "NOAUTH"),
        ("WRONGPASS invalid username-password pair", "WRONGPASS"),
        ("ERR invalid password", "WRONGPASS"),
        ("CLUSTERDOWN Hash slot not served", "CLUSTERDOWN"),
        ("MOVED 3999 127.0.0.1:6381", "MOVED"),
        ("BUSY Redis is busy running a script.", "BUSY"),
        # Redis 6.2 in scripts.
        (f"{IN_SCRIPT}@user_script: 1: -OOM command not allowed", "OOM"),
        (f"{IN_SCRIPT}@user_script: 1: -READONLY You can't write", "READONLY"),
        (f"{IN_SCRIPT}@user_script: 1: -NOREPLICAS Not enough good", "NOREPLICAS"),
        (
            f"{IN_SCRIPT}@user_script: 1: The user executing the script can't run this "
            "command or subcommand",
            "NOPERM",
        ),
        # Redis 7.0 and Valkey in scripts.
        ("ERR The user executing the script can't run this command", "NOPERM"),
        ("ERR ACL failure in script: User default has no permissions", "NOPERM"),
    ],
)
def test_a_refusal_is_an_outage_with_a_code(reply: str, code: str) -> None:
    error = parsed(reply)

    assert refusals.code(error) == code
    assert refusals.is_outage(error)
    assert refusals.advice(code)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("NOSCRIPT No matching script. Please use EVAL.", "NOSCRIPT"),
        ("WRONGTYPE Operation against a key holding the wrong kind", "WRONGTYPE"),
        (f"{IN_SCRIPT}WRONGTYPE Operation against a key", "WRONGTYPE"),
        ("ERR unknown command 'OOM ', with args beginning with: 'OOM' ", "ERR"),
        ("ERR syntax error", "ERR"),
        ("Unbalanced", "ERR"),
    ],
)
def test_another_error_is_a_bug(reply: str, code: str) -> None:
    error = parsed(reply)

    assert refusals.code(error) == code
    assert not refusals.is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("OOM"),
        RedisTimeoutError("Timeout reading"),
        TimeoutError(),
        parsed("ERR max number of clients reached"),
    ],
)
def test_an_error_without_a_reply_has_no_code(error: BaseException) -> None:
    assert refusals.code(error) == ""
    assert not refusals.is_outage(error)
