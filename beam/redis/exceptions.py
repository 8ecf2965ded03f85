"""The exceptions of calls to Redis.

    Exception
    └── Unavailable             a call to Redis failed: callers catch this one
        ├── NotSent             nothing was sent: Redis is unavailable
        ├── NoAnswer            no answer in time: the call may have been carried out
        ├── CommandRefused      an error reply that is an outage: OOM, READONLY, NOPERM
        ├── CommandFailed       any other error reply: a bug; Redis stays available
        ├── SubscriptionLost    a subscription does not deliver
        ├── ProofInterrupted    the connection was replaced during its check
        ├── Unreachable         Redis does not answer a process that starts
        └── NotPublished        the channel layer did not take an event
                                (rooms.messaging.publisher)

Exceptions of redis-py (`LIBRARY_ERRORS`) do not leave this package: they become the
cause of an `Unavailable`, whose text is safe to log. It quotes neither commands nor
passwords.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from beam.redis import refusals

LIBRARY_ERRORS: Final = (RedisError, OSError)
"""What redis-py raises. Some timeouts and lost connections are `OSError`."""


class Unavailable(Exception):
    """A call to Redis failed. It may be tried again."""


class NotSent(Unavailable):
    """Nothing was sent, because this process knows that Redis is unavailable."""


class NoAnswer(Unavailable):
    """No connection, or no answer in time. The call may have been carried out."""


class CommandRefused(Unavailable):
    """Redis refuses commands. `code`: of the error reply, such as `OOM`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Redis refuses commands: {code}")
        self.code = code


class CommandFailed(Unavailable):
    """Redis answered with an error that is a bug. `code`: of the reply."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Redis answered a command with an error: {code}")
        self.code = code


class SubscriptionLost(Unavailable):
    """A subscription does not deliver. `reason`: for the counter."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class ProofInterrupted(Unavailable):
    """The connection was replaced during a proof, which has no result."""


class Unreachable(Unavailable):
    """Redis does not answer. The text says where, why and what to do."""


def unavailable(error: Exception) -> Unavailable:
    """Make an `Unavailable` from an exception of redis-py, which becomes its cause."""
    code = refusals.code(error)
    made: Unavailable
    if not code:
        made = NoAnswer(f"no answer from Redis: {described(error)}")
    elif refusals.is_outage(error):
        made = CommandRefused(code)
    else:
        made = CommandFailed(code)
    made.__cause__ = error
    return made


@contextmanager
def translated() -> Iterator[None]:
    """Raise redis-py's exceptions as `Unavailable`."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise unavailable(error) from error


def described(error: BaseException) -> str:
    """An exception for the log: its kind, and its text if that is safe.

    Error replies may quote the command, and redis-py's errors about Sentinels the
    passwords in its settings.
    """
    kind, text = type(error).__name__, str(error)
    if isinstance(error, Unavailable):
        return text or kind
    is_safe = isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError))
    if not text or not is_safe or isinstance(error, MasterNotFoundError):
        return kind
    return f"{kind}: {text}"
