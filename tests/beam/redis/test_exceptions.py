"""The exceptions of failed calls to Redis, and their texts."""

from __future__ import annotations

from typing import Any

import pytest
from redis._parsers.base import BaseParser
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from beam.redis import exceptions
from beam.redis.exceptions import (
    CommandFailed,
    CommandRefused,
    NoAnswer,
    Unavailable,
    described,
    translated,
    unavailable,
)
from rooms.messaging.publisher import NotPublished

parsed: Any = BaseParser.parse_error


@pytest.mark.parametrize(
    ("error", "made", "text"),
    [
        (
            RedisConnectionError("Error 111 connecting"),
            NoAnswer,
            "no answer from Redis: ConnectionError: Error 111 connecting",
        ),
        (TimeoutError(), NoAnswer, "no answer from Redis: TimeoutError"),
        (RedisTimeoutError("t"), NoAnswer, "no answer from Redis: TimeoutError: t"),
        (parsed("OOM used"), CommandRefused, "Redis refuses commands: OOM"),
        (
            BusyLoadingError("LOADING"),
            CommandRefused,
            "Redis refuses commands: LOADING",
        ),
        (
            AuthenticationError("invalid password"),
            CommandRefused,
            "Redis refuses commands: WRONGPASS",
        ),
        (
            ResponseError("WRONGTYPE Operation on sesame"),
            CommandFailed,
            "Redis answered a command with an error: WRONGTYPE",
        ),
    ],
)
def test_each_kind_of_failure_has_its_exception(
    error: Any, made: type[Unavailable], text: str
) -> None:
    with pytest.raises(Unavailable) as caught, translated():
        raise error

    assert (caught.type, str(caught.value)) == (made, text)
    assert caught.value.__cause__ is error


def test_an_exception_of_beam_is_not_translated() -> None:
    raised = unavailable(TimeoutError())

    with pytest.raises(NoAnswer) as caught, translated():
        raise raised

    assert caught.value is raised


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RedisConnectionError("Error 111 connecting"), None),
        (TimeoutError(), "TimeoutError"),
        (OSError(111, "Connection refused"), None),
        (ResponseError("Command # 1 (PUBLISH r sesame) failed"), "ResponseError"),
        (MasterNotFoundError("<Redis(password=sesame)>"), "MasterNotFoundError"),
        (
            CommandFailed("WRONGTYPE"),
            "Redis answered a command with an error: WRONGTYPE",
        ),
        (Unavailable(), "Unavailable"),
    ],
)
def test_only_the_text_of_connection_errors_is_quoted(
    error: BaseException, text: str | None
) -> None:
    assert described(error) == (text or f"{type(error).__name__}: {error}")


def test_the_tree_in_the_docstring_names_every_exception() -> None:
    tree = exceptions.__doc__ or ""
    kinds: list[type[Unavailable]] = [Unavailable, *Unavailable.__subclasses__()]

    assert NotPublished in kinds
    for kind in kinds:
        assert f"── {kind.__name__} " in tree
