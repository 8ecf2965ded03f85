"""Owns the Redis clients, one per event loop, and whether Redis is there.

Calls of one turn of the loop leave in one pipeline: a storm of joins needs one
connection, not one for each join. While Redis is away nothing is tried: a call
fails at once, and one task asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from hashlib import sha1
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from beam import redis_url
from beam.conf import conf

__all__ = [
    "Away",
    "Batch",
    "Link",
    "Redis",
    "RedisError",
    "Script",
    "batch",
    "client",
    "close",
    "connect",
    "described",
    "link",
]

logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 500


class Away(RedisConnectionError):
    """Redis did not answer a moment ago; nothing was tried."""


class Link:
    """Whether Redis answers, as one event loop sees it. One log line a change."""

    def __init__(self) -> None:
        self.up = True
        self.on_down: Callable[[], None] = lambda: None

    def failed(self, error: BaseException) -> None:
        """A call failed for want of an answer."""
        if self.up:
            self.up = False
            logger.error("Redis is away: %s", described(error))
            self.on_down()

    def answered(self) -> None:
        """Redis is there."""
        if not self.up:
            self.up = True
            logger.info("Redis is back")


def described(error: BaseException) -> str:
    """Its kind, and its text where that is of a connection to one server.

    What Redis answers may quote what it was sent, and redis-py what it was told of
    Sentinels, passwords too.
    """
    kind, text = type(error).__name__, str(error)
    is_of_one = isinstance(error, (RedisConnectionError, RedisTimeoutError, OSError))
    if not text or not is_of_one or isinstance(error, MasterNotFoundError):
        return kind
    return f"{kind}: {text}"


def link() -> Link:
    """The running loop's link."""
    loop = asyncio.get_running_loop()
    if loop not in _links:
        _links[loop] = Link()
    return _links[loop]


def client() -> Redis:
    """The running loop's client for `REDIS_URL`. Connects on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        _clients[loop] = connect(conf().redis_url)
    return _clients[loop]


def connect(url: str) -> Redis:
    """A client of its own. Raises `redis_url.BadUrl`."""
    return redis_url.connect(url, conf().redis_timeout)


def batch() -> Batch:
    """The running loop's batch: what goes through it keeps its order."""
    loop = asyncio.get_running_loop()
    if loop not in _batches:
        _batches[loop] = Batch(client(), link())
    return _batches[loop]


async def close() -> None:
    """Close the running loop's client, if there is one."""
    loop = asyncio.get_running_loop()
    _batches.pop(loop, None)
    if (redis := _clients.pop(loop, None)) is not None:
        await redis.aclose()


Command = tuple[Any, ...]


class Batch:
    """Sends what is asked for in one turn of the loop as one pipeline.

    Commands reach Redis in the order in which they were given.
    """

    def __init__(self, redis: Redis, state: Link) -> None:
        self._redis = redis
        self._link = state
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """One command's answer. Raises `RedisError` or `OSError`."""
        return await self._put(command)

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """The answers of several. Raises what the first failure raised."""
        answers = [self._put(command) for command in commands]
        return list(await asyncio.gather(*answers))

    def tell(self, *command: Any) -> None:
        """A command whose answer nobody waits for; a failure shows on the link."""
        self._put(command).add_done_callback(_retrieve)

    def _put(self, command: Command) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        if not self._link.up:
            answer.set_exception(Away("Redis is away"))
            return answer
        self._waiting.append((command, answer))
        if self._sender is None:
            self._sender = self._loop.create_task(self._send())
        return answer

    async def load(self, text: str) -> None:
        """Have Redis know a script."""
        await self.call("SCRIPT", "LOAD", text)

    async def ping(self) -> bool:
        """Ask Redis whether it is there, away or not; tells the link."""
        try:
            async with asyncio.timeout(conf().redis_timeout):
                await self._redis.ping()
        except (RedisError, OSError) as error:
            self._link.failed(error)
            return False
        return True

    async def _send(self) -> None:
        try:
            while self._waiting:
                sent = self._waiting[:CALLS_AT_ONCE]
                del self._waiting[:CALLS_AT_ONCE]
                await self._send_batch(sent)
        finally:
            self._sender = None

    async def _send_batch(
        self, sent: list[tuple[Command, asyncio.Future[Any]]]
    ) -> None:
        try:
            if not self._link.up:
                raise Away("Redis is away")
            pipeline = self._redis.pipeline(transaction=False)
            for command, _ in sent:
                pipeline.execute_command(*command)
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            self._link.failed(error)
            answers = [error] * len(sent)
        for (_, answer), result in zip(sent, answers, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)


def _retrieve(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()


class Script:
    """A Lua script, called by its hash; Redis is told the text where it asks."""

    def __init__(self, sender: Batch, text: str) -> None:
        self._batch = sender
        self._text = text
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(
        self, keys: tuple[str, ...], args: Sequence[Any] | Callable[[], Sequence[Any]]
    ) -> Any:
        """The script's answer. Raises `RedisError` or `OSError`.

        `args`: a function where they must be those of the moment. Where Redis has
        to be told the script, what others ask meanwhile overtakes it.
        """
        try:
            return await self._call(keys, args)
        except NoScriptError:
            await self._batch.load(self._text)
            return await self._call(keys, args)

    async def _call(
        self, keys: tuple[str, ...], args: Sequence[Any] | Callable[[], Sequence[Any]]
    ) -> Any:
        args = args() if callable(args) else args
        return await self._batch.call("EVALSHA", self._sha, len(keys), *keys, *args)


_links: WeakKeyDictionary[asyncio.AbstractEventLoop, Link] = WeakKeyDictionary()
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()
_batches: WeakKeyDictionary[asyncio.AbstractEventLoop, Batch] = WeakKeyDictionary()
