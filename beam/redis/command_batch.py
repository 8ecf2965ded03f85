"""Sends the commands of one turn of the event loop to Redis in one pipeline.

So many joins at the same time need one connection, not one for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from beam.loops import per_loop
from beam.redis.client import client
from beam.redis.exceptions import LIBRARY_ERRORS, NotSent, Unavailable, unavailable
from beam.redis.link import Link, link
from beam.redis.write_probe import probe

CALLS_AT_ONCE = 500

Command = tuple[Any, ...]


class Batch:
    """The commands of one event loop, sent in the order of the calls."""

    def __init__(self, redis: Redis, state: Link) -> None:
        self._redis = redis
        self._link = state
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

    async def call(self, *command: Any) -> Any:
        """Return the reply to a command. Raises `Unavailable`."""
        return await self._put(command)

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to several commands. Raises the first `Unavailable`."""
        answers = [self._put(command) for command in commands]
        return list(await asyncio.gather(*answers))

    def send(self, *command: Any) -> None:
        """Send a command without waiting. The link logs a failure."""
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
        """Load a script into Redis. Raises `Unavailable`."""
        await self.call("SCRIPT", "LOAD", text)

    async def probe(self) -> bool:
        """See `beam.redis.write_probe`."""
        return await probe(self._redis, self._link)

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
        generation = self._link.generation
        answers: Sequence[Any]
        try:
            answers = await self._execute([command for command, _ in sent])
        except LIBRARY_ERRORS as error:
            self._link.failed(error, generation=generation)
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
        """The replies, with an `Unavailable` in place of each error.

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


@per_loop
def batch() -> Batch:
    """The batch of the running loop."""
    return Batch(client(), link())


async def close() -> None:
    """Close the client of the running loop, if there is one."""
    batch.pop()
    if (redis := client.pop()) is not None:
        await redis.aclose()
