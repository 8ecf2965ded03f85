"""The publish path: every event goes to its recipients through `publish`.

This includes events of clients, REST, commands, admins and presence. An event that
the channel layer took is delivered at most once to each member, in the order in
which its process published. An event that it refused raises, and is counted.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace
from functools import partial
from time import time
from typing import Any

from channels.layers import get_channel_layer

from beam import redis
from beam.loops import per_loop
from beam.telemetry import metrics
from rooms.messaging.hub import hub
from rooms.messaging.subscriptions import group_name
from rooms.protocol.encoded_event import pack
from rooms.protocol.event import Event

logger = logging.getLogger(__name__)

# How long a publisher waits until its own process has delivered its event.
RECEIPT_SECONDS = 5.0


class NotPublished(redis.Unavailable):
    """The channel layer refused an event. It may be published again."""

    def __init__(self, why: str = "the channel layer is unavailable") -> None:
        super().__init__(why)


Sent = asyncio.Future[None]


@dataclass(slots=True)
class _Turn:
    """Events that the layer sends together: all succeed, or all fail.

    `sent` is the future of the layer, `taken` the one that publishers see.
    """

    sent: Sent
    taken: Sent
    events: int = 0


class Publisher:
    """Publishes the events of one event loop, and logs if the layer refuses them.

    Callers that publish often keep a reference to it: `publisher()`.
    """

    def __init__(self) -> None:
        layer: Any = get_channel_layer()
        self._layer = layer.loop_layer() if hasattr(layer, "loop_layer") else layer
        self._direct = hasattr(self._layer, "publish")
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[dict[str, Any], Sent]] = []
        self._task: asyncio.Task[None] | None = None
        self._healthy = True
        self._turn = _Turn(self._loop.create_future(), self._loop.create_future())

    def publish(self, event: Event) -> Sent | None:
        """See the function of this name."""
        message = pack(event)
        message["at"] = time()
        if not self._direct:
            return self._queue(message)
        sent: Sent | None = self._layer.publish(group_name(event.topic), message)
        if sent is None:
            metrics.PUBLISHED.value += 1
            return None
        if sent is not self._turn.sent:
            self._turn = turn = _Turn(sent, self._loop.create_future())
            turn.taken.add_done_callback(_retrieve)
            sent.add_done_callback(partial(self._settle, turn))
        self._turn.events += 1
        return self._turn.taken

    def _queue(self, message: dict[str, Any]) -> Sent:
        """Publish on a layer of another library: one `await` for each event."""
        sent: Sent = self._loop.create_future()
        # Callers may ignore the future: a failure is counted and logged here.
        sent.add_done_callback(_retrieve)
        self._waiting.append((message, sent))
        if self._task is None:
            self._task = self._loop.create_task(self._drain())
        return sent

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                for message, sent in batch:
                    await self._send(message, sent)
        finally:
            self._task = None

    async def _send(self, message: dict[str, Any], sent: Sent) -> None:
        try:
            await self._layer.group_send(group_name(message["topic"]), message)
        except Exception as error:  # noqa: BLE001 - any layer, any error
            self._report(sent, error)
        else:
            self._report(sent, None)

    def _settle(self, turn: _Turn, sent: Sent) -> None:
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        self._report(turn.taken, error, turn.events)

    def _report(self, sent: Sent, error: BaseException | None, events: int = 1) -> None:
        """Count events as published or not, and log a change of the layer's state."""
        # The link has already logged the outage.
        known = isinstance(error, redis.NotSent)
        if error is None:
            metrics.PUBLISHED.value += events
            if not self._healthy:
                logger.info("The channel layer accepts events again")
        else:
            metrics.UNPUBLISHED.value += events
            if self._healthy and not known:
                # The text of another error may quote the event.
                is_safe = isinstance(error, redis.Unavailable)
                why = str(error) if is_safe else type(error).__name__
                logger.error("The channel layer refuses events: %s", why)
        if not known:
            self._healthy = error is None
        if sent.done():
            return
        if error is None:
            sent.set_result(None)
        else:
            sent.set_exception(NotPublished())


def _retrieve(sent: Sent) -> None:
    if not sent.cancelled():
        sent.exception()


@per_loop
def publisher() -> Publisher:
    """The running loop's publisher."""
    return Publisher()


def publish(event: Event) -> Sent | None:
    """Send an event to the members of its topic, in all processes.

    Returns None if the layer took it at once. Else a future, the same for all events
    of one turn of the loop: it is done when the layer took them, and raises
    `NotPublished` if it refused. It need not be awaited. Raises `ValueError` at once
    if the event cannot be encoded. Must be called in the event loop.
    """
    return publisher().publish(event)


async def published(event: Event) -> None:
    """Publish an event, and wait until the layer took it. Raises `NotPublished`."""
    sent = publish(event)
    if sent is not None:
        await sent


async def publish_and_deliver(event: Event) -> None:
    """Publish an event, and wait until this process has written it.

    For handlers that reply after their own broadcast, as in Phoenix. Also raises
    `NotPublished` if the event was not delivered here within 5 s.
    """
    receipt = secrets.token_urlsafe(9)
    delivered = hub().receipts.expect(receipt)
    try:
        await published(replace(event, receipt=receipt))
        await asyncio.wait_for(delivered, RECEIPT_SECONDS)
    except TimeoutError:
        raise NotPublished("the event was not delivered here in time") from None
    finally:
        delivered.cancel()
