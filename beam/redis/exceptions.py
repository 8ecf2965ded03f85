"""The exceptions of calls to Redis.

    Exception
    └── Unavailable             Redis did not serve a call: what callers catch
        ├── NotSent             nothing was sent: Redis is unavailable
        ├── NoAnswer            the answer is missing: the call may have been done
        ├── CommandRefused      an error reply that is an outage: OOM, READONLY, NOPERM
        ├── CommandFailed       any other error reply: a bug, the link stays up
        ├── SubscriptionLost    a subscription does not deliver what is published
        ├── ProofInterrupted    the connection was replaced while it was checked
        ├── Unreachable         Redis does not answer a process that starts
        └── NotPublished        the channel layer did not take an event
                                (rooms.messaging.publisher)

What redis-py raises (`LIBRARY_ERRORS`) does not leave this package: the cause of an
`Unavailable` is the library's exception. The text of an `Unavailable` is safe to log:
it quotes neither what was sent nor a password.
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
"""What redis-py raises; its timeouts and lost connections are `OSError`s too."""


class Unavailable(Exception):
    """Redis did not serve a call. It may be tried again."""


class NotSent(Unavailable):
    """Nothing was sent: Redis is unavailable, as far as this process knows."""


class NoAnswer(Unavailable):
    """There was no connection, or no answer in time. The call may have been done."""


class CommandRefused(Unavailable):
    """Redis does not accept commands now. `code`: the error reply's, such as `OOM`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Redis refuses commands: {code}")
        self.code = code


class CommandFailed(Unavailable):
    """Redis answered with an error that is no outage: a bug. `code`: the reply's."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Redis answered a command with an error: {code}")
        self.code = code


class SubscriptionLost(Unavailable):
    """The subscription does not deliver what it should. `reason`: for the counter."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class ProofInterrupted(Unavailable):
    """The connection was replaced during a proof: nothing is known of the new one."""


class Unreachable(Unavailable):
    """Redis does not answer: where it should be, why, and what to do."""


def unavailable(error: Exception) -> Unavailable:
    """An exception of redis-py as one of this module; the original is its cause."""
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
