"""Owns the Redis clients, one per event loop, and whether Redis serves them.

Calls of one turn of the loop leave in one pipeline: a storm of joins needs one
connection, not one for each join. While Redis is unavailable nothing is tried: a
call fails at once, and one task probes it. Redis that answers and refuses commands
is as unavailable as one that does not answer; `beam.redis.refusals` classifies its
replies.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from redis.asyncio import Redis

from beam.config import redis_url
from beam.config.conf import conf
from beam.redis import refusals
from beam.redis.exceptions import (
    LIBRARY_ERRORS,
    CommandFailed,
    NotSent,
    Unavailable,
    described,
    unavailable,
)

__all__ = [
    "Batch",
    "Link",
    "Redis",
    "Script",
    "batch",
    "client",
    "close",
    "connect",
    "drop_idle",
    "link",
    "reconnect",
]

logger = logging.getLogger(__name__)

CALLS_AT_ONCE = 500
QUIET_SECONDS = 60.0
REFUSED = "refuses commands"

# Tries every command that presence uses: an outage that ends although one of them is
# refused would begin again at once. First one that needs memory: after a write a
# script is not refused any more.
PROBE = """
redis.call('HSET', KEYS[1], 'probe', 1)
redis.call('HINCRBY', KEYS[1], 'probe', 1)
redis.call('HDEL', KEYS[1], 'probe')
redis.call('SET', KEYS[2], 1, 'EX', 3600)
redis.call('INCR', KEYS[2])
redis.call('PERSIST', KEYS[2])
redis.call('EXPIRE', KEYS[2], 3600)
redis.call('DEL', KEYS[2])
redis.call('ZADD', KEYS[3], 1, 'probe')
redis.call('ZREM', KEYS[3], 'probe')
redis.call('HSETNX', KEYS[1], 'probe', 1)
for _, name in ipairs({'HGETALL', 'HKEYS', 'HVALS', 'HLEN'}) do
  redis.call(name, KEYS[1])
end
for _, name in ipairs({'HGET', 'HEXISTS', 'HDEL'}) do
  redis.call(name, KEYS[1], 'probe')
end
redis.call('GET', KEYS[2])
redis.call('EXISTS', KEYS[2])
redis.call('ZSCORE', KEYS[3], 'probe')
redis.call('ZMSCORE', KEYS[3], 'probe')
redis.call('ZRANGE', KEYS[3], 0, 0)
redis.call('ZCOUNT', KEYS[3], 0, 1)
redis.call('ZRANGEBYLEX', KEYS[3], '-', '+')
redis.call('ZREMRANGEBYSCORE', KEYS[3], 0, 1)
redis.call('SCAN', 0, 'COUNT', 1)
redis.call('PUBLISH', ARGV[1], '')
return redis.call('TIME')
"""
PROBED = ("hash", "string", "sorted")


class Link:
    """Whether Redis serves, as one event loop sees it. One log line a change.

    `up`: it does. `why`: else what is wrong, in a few words. `moved`: the outage
    may end elsewhere: the master is another server now.
    """

    def __init__(self) -> None:
        self.up = True
        self.why = ""
        self.moved = False
        # How often all connections were given up.
        self.era = 0
        self.on_down: Callable[[], None] = lambda: None
        self._logged: set[str] = set()
        self._quiet_until: dict[str, float] = {}

    def failed(
        self, error: BaseException, *, probed: bool = False, era: int | None = None
    ) -> None:
        """A call got no answer, or one that Redis does not serve now.

        What is wrong may change during an outage; each kind is logged once.
        `probed`: it was asked for just now, and not on a connection that is given
        up. `era`: the link's when the call began: no answer on a connection that
        was given up since says nothing of those that are there now.
        """
        code = refusals.code(error)
        if not code and era not in (None, self.era):
            return
        kind = code or "no answer"
        if self.up or code or probed:
            self.why = f"{REFUSED}: {code}" if code else type(error).__name__
        self.moved = self.moved or code in refusals.MOVED
        if kind not in self._logged and (self.up or code):
            self._logged.add(kind)
            self._log(error, code)
        if self.up:
            self.up = False
            self.on_down()

    @staticmethod
    def _log(error: BaseException, code: str) -> None:
        if code:
            logger.error("Redis %s: %s. %s", REFUSED, code, refusals.advice(code))
        else:
            logger.error("Redis is away: %s", described(error))

    def replied(self, error: Exception) -> None:
        """A command was answered with an error: an outage, or a bug.

        A bug is logged by its code: the text may quote what was sent.
        """
        if refusals.is_outage(error):
            self.failed(error)
            return
        code, now = refusals.code(error), time.monotonic()
        if code != refusals.NO_SCRIPT and now >= self._quiet_until.get(code, 0.0):
            self._quiet_until[code] = now + QUIET_SECONDS
            logger.error("Redis answered a command with an error: %s", code)

    def answered(self) -> None:
        """Redis serves."""
        if not self.up:
            refused = self.why.startswith(REFUSED)
            self.up, self.why, self.moved = True, "", False
            self._logged.clear()
            text = "Redis accepts writes again" if refused else "Redis is back"
            logger.info(text)


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
    client = redis_url.connect(url, conf().redis_timeout)
    with suppress(RuntimeError):  # without a loop nothing is kept
        loop = asyncio.get_running_loop()
        _opened.setdefault(loop, WeakSet()).add(client)
    return client


async def reconnect() -> None:
    """Drop all connections of the running loop, subscriptions too.

    The next calls connect to where the address leads by then.
    """
    link().era += 1
    await _disconnect(in_use=True)
    # Those that began meanwhile, too.
    link().era += 1


async def drop_idle() -> None:
    """Drop the running loop's connections that nobody uses just now.

    After an outage they may be dead, which only the next call would find out.
    """
    await _disconnect(in_use=False)


async def _disconnect(*, in_use: bool) -> None:
    for client in [*_opened.get(asyncio.get_running_loop(), ())]:
        with suppress(*LIBRARY_ERRORS):
            await client.connection_pool.disconnect(inuse_connections=in_use)


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
        """One command's answer. Raises `Unavailable`."""
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
            answer.set_exception(NotSent("Redis is unavailable"))
            return answer
        self._waiting.append((command, answer))
        if self._sender is None:
            self._sender = self._loop.create_task(self._send())
        return answer

    async def load(self, text: str) -> None:
        """Have Redis know a script."""
        await self.call("SCRIPT", "LOAD", text)

    async def probe(self) -> bool:
        """Whether Redis takes writes; tried during an outage too.

        The link learns of a failure, whatever the error. What ends an outage is
        the caller's to say.
        """
        stem = f"{conf().redis_prefix}:{{probe}}"
        keys = [f"{stem}:{kind}" for kind in PROBED]
        names = redis_url.channel_prefix(conf().redis_prefix, conf().redis_url)
        era = self._link.era
        try:
            async with asyncio.timeout(conf().redis_timeout):
                await self._redis.eval(PROBE, len(keys), *keys, f"{names}probe")
        except LIBRARY_ERRORS as error:
            self._link.failed(error, probed=True, era=era)
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
        era = self._link.era
        answers: Sequence[Any]
        try:
            answers = await self._execute([command for command, _ in sent])
        except LIBRARY_ERRORS as error:
            self._link.failed(error, era=era)
            answers = [unavailable(error)] * len(sent)
        except NotSent as error:
            answers = [error] * len(sent)
        for (_, answer), result in zip(sent, answers, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)

    async def _execute(self, commands: list[Command]) -> list[Any]:
        """The answers; an `Unavailable` for each error reply, which is reported.

        Raises `LIBRARY_ERRORS`, `NotSent`.
        """
        if not self._link.up:
            raise NotSent("Redis is unavailable")
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers = await pipeline.execute(raise_on_error=False)
        return [
            self._failed(answer) if isinstance(answer, Exception) else answer
            for answer in answers
        ]

    def _failed(self, error: Exception) -> Unavailable:
        self._link.replied(error)
        return unavailable(error)


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
        """The script's answer. Raises `Unavailable`.

        `args`: a function where they must be those of the moment. Where Redis has
        to be told the script, what others ask meanwhile overtakes it.
        """
        try:
            return await self._call(keys, args)
        except CommandFailed as error:
            if error.code != refusals.NO_SCRIPT:
                raise
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
_opened: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Redis]]
_opened = WeakKeyDictionary()
