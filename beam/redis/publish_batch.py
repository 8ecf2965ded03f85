"""Publishes the messages of one turn of the event loop in one pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis

from beam import redis
from beam.redis.exceptions import LIBRARY_ERRORS, NotSent, unavailable
from beam.redis.message_bundle import Message, bundle

Sent = asyncio.Future[None]


class PublishBatch:
    """The messages on their way to one Redis server."""

    def __init__(
        self, client: Callable[[], Redis], serialize: Callable[[Message], bytes]
    ) -> None:
        """`client`: connects on first use."""
        self._client = client
        self._serialize = serialize
        self._loop = asyncio.get_running_loop()
        self._link = redis.link()
        self._waiting: dict[str, list[Message]] = {}
        self._sent: Sent | None = None
        self._sender: asyncio.Task[None] | None = None

    def put(self, channel: str, message: Message) -> Sent:
        """Publish a message. All messages of a turn get the same future."""
        if not self._link.up:
            failed: Sent = self._loop.create_future()
            failed.set_exception(NotSent("Redis is unavailable"))
            failed.add_done_callback(_retrieve)
            return failed
        if self._sent is None:
            self._sent = self._loop.create_future()
            # The caller need not await it.
            self._sent.add_done_callback(_retrieve)
            if self._sender is None:
                self._sender = self._loop.create_task(self._send())
        self._waiting.setdefault(channel, []).append(message)
        return self._sent

    async def _send(self) -> None:
        try:
            while self._sent is not None:
                (batch, self._waiting), sent = (self._waiting, {}), self._sent
                self._sent = None
                await self._send_batch(batch, sent)
        finally:
            self._sender = None

    async def _send_batch(self, batch: dict[str, list[Message]], sent: Sent) -> None:
        generation = self._link.generation
        try:
            if not self._link.up:
                raise NotSent("Redis is unavailable")
            pipeline = self._client().pipeline(transaction=False)
            for channel, messages in batch.items():
                pipeline.publish(channel, self._serialize(bundle(messages)))
            await pipeline.execute()
        except Exception as error:  # noqa: BLE001 - raised in all callers
            failure = error
            if isinstance(error, LIBRARY_ERRORS):
                self._link.failed(error, generation=generation)
                failure = unavailable(error)
            if not sent.done():
                sent.set_exception(failure)
        else:
            if not sent.done():
                sent.set_result(None)


def _retrieve(sent: Sent) -> None:
    if not sent.cancelled():
        sent.exception()
