"""Owns the table of topics and local members of one process.

The hub receives every message of the mailbox. At the end of the turn of the event
loop it has the events of each topic written to the members of the topic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextvars import Context
from time import time
from typing import Any

from channels.layers import get_channel_layer

from beam import redis
from beam.config.conf import conf
from beam.loops import per_loop
from beam.telemetry import metrics
from rooms.messaging import fanout
from rooms.messaging.control_topic import CONTROL_TOPIC, ControlEvents
from rooms.messaging.hub_mailbox import Mailbox
from rooms.messaging.member import Member
from rooms.messaging.presence_order import without_outdated
from rooms.messaging.receipts import Receipts
from rooms.messaging.subscriptions import Subscriptions
from rooms.messaging.topic_members import TopicMembers
from rooms.protocol.encoded_event import Delivery

logger = logging.getLogger(__name__)


class Hub:
    """The local members of all topics.

    `attach`, `detach` and `deliver` change tables before any await. `members`: how
    many members all topics have here. `control`: the handlers of the control topic.
    `receipts`: publishers that wait for the delivery of their event here.
    """

    def __init__(self) -> None:
        layer: Any = get_channel_layer()
        self._layer = layer
        # `get_running_loop` makes a system call: it reads the process id.
        self._loop = asyncio.get_running_loop()
        # Deliveries must not run in the context of the request that published.
        self._context = Context()
        self._topics: dict[str, TopicMembers] = {}
        self._pending: dict[str, list[Delivery]] = {}
        self._mailbox = Mailbox(layer, self.deliver)
        self._subscriptions = Subscriptions(layer, self._topics)
        self._starting = asyncio.Lock()
        # Without Redis no change can be missed, and versions span topics.
        self._follows = bool(conf().redis_url)
        self.members = 0
        self.control = ControlEvents()
        self.receipts = Receipts()

    @property
    def is_alive(self) -> bool:
        """Whether the mailbox is being read."""
        return self._mailbox.is_read

    async def start(self) -> None:
        """Open the mailbox and subscribe to the control topic. Idempotent.

        Raises `beam.redis.Unavailable` if the channel layer is.
        """
        async with self._starting:
            if not self._mailbox.is_read:
                # Layers of other libraries raise what redis-py raises.
                with redis.translated():
                    channel = await self._layer.new_channel()
                    await self._subscriptions.move_to(channel)
                self._mailbox.read(channel)

    async def finish(self) -> None:
        """Wait until all changes of subscriptions are made."""
        await self._subscriptions.finish()

    async def stop(self) -> None:
        """Finish changes of subscriptions, then close the mailbox."""
        await self.finish()
        await self._mailbox.close()

    async def attach(self, member: Member) -> None:
        """Deliver to a member. Returns when the layer is subscribed to its topic."""
        self._topic(member.topic).add(member)
        self.members += 1
        await self._subscribe(member.topic)

    async def attach_observer(self, observer: Member) -> None:
        """Like `attach`, but the observer is not counted."""
        self._topic(observer.topic).add_observer(observer)
        await self._subscribe(observer.topic)

    def _topic(self, name: str) -> TopicMembers:
        if (topic := self._topics.get(name)) is None:
            topic = self._topics[name] = TopicMembers()
        return topic

    async def _subscribe(self, name: str) -> None:
        if not self._mailbox.is_read:
            await self.start()
        if not self._subscriptions.has(name):
            # Other members wait for the same task: a cancelled join must not end it.
            await asyncio.shield(self._subscriptions.change(name))

    def detach(self, member: Member) -> None:
        """Stop delivering to a member or an observer, at once. Idempotent."""
        topic = self._topics.get(member.topic)
        if topic is None:
            return
        before = topic.member_count
        topic.remove(member)
        self.members -= before - topic.member_count
        if not topic.recipients:
            del self._topics[member.topic]
            self._subscriptions.change(member.topic)

    def deliver(self, message: dict[str, Any]) -> None:
        """Take one message of the layer; it is written at the end of the turn."""
        delivery = Delivery(message)
        if not self._pending:
            self._loop.call_soon(self._flush, context=self._context)
        self._pending.setdefault(delivery.topic, []).append(delivery)

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for name, batch in pending.items():
            try:
                self._flush_topic(name, batch)
            except Exception:
                # A bug in one topic must not cost the other topics their events.
                metrics.FAN_OUT_FAILED.value += 1
                logger.exception("Cannot write all events of a topic")
            self.receipts.confirm(batch)

    def _flush_topic(self, name: str, batch: list[Delivery]) -> None:
        if name == CONTROL_TOPIC:
            for delivery in batch:
                self.control.dispatch(delivery)
        elif (topic := self._topics.get(name)) is not None:
            if self._follows:
                batch = without_outdated(topic.version_log, batch)
            fanout.write(topic, batch)
            _observe_latency(batch)

    def note_state(self, topic: str, version: int) -> None:
        """A member of the topic was given the presence state of this version."""
        if self._follows and (found := self._topics.get(topic)) is not None:
            found.version_log.start_at(version)

    def presence_versions(self) -> dict[str, int]:
        """The version of the presence state that members have here, by topic."""
        return {
            name: topic.version_log.known
            for name, topic in self._topics.items()
            if topic.version_log.known is not None
        }

    def latest_version(self, topic: str) -> int:
        """The highest version of a presence change that was delivered to a topic."""
        found = self._topics.get(topic)
        return 0 if found is None else found.version_log.latest

    def count_topics(self) -> int:
        """How many topics have members in this process."""
        return sum(topic.member_count > 0 for topic in self._topics.values())

    def has_members(self, topic: str) -> bool:
        """Whether a topic has members in this process."""
        found = self._topics.get(topic)
        return found is not None and found.member_count > 0

    def size(self, topic: str) -> int:
        """How many members and observers the topic has in this process."""
        return len(self._topics[topic].recipients) if topic in self._topics else 0


def _observe_latency(written: Iterable[Delivery]) -> None:
    now = time()
    for delivery in written:
        if delivery.at:
            # The clocks of two hosts differ: never below zero.
            metrics.LATENCY.observe(max(0.0, now - delivery.at))


@per_loop
def hub() -> Hub:
    """The running loop's hub."""
    return Hub()
