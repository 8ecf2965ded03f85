"""Owns which local sockets are in which topic, and writes events to them.

One hub an event loop, one mailbox on the channel layer a hub. The hub
subscribes to a topic's group with its first member here and discards it with
the last. Every event is encoded once, and every socket gets the events of one
turn of the loop in one write.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from hashlib import blake2b
from time import time
from typing import Any, Protocol

from channels.layers import get_channel_layer

from beam.config.conf import conf
from beam.loops import goes_on, per_loop
from beam.redis.channel_layer import unbundle
from beam.telemetry import metrics
from beam.telemetry.logs import whereabouts
from presence.state import Diff, Snapshot
from presence.version_log import VersionLog
from rooms.messaging.outbound import Socket, join_prepared
from rooms.protocol.backlog import CEILING
from rooms.protocol.event import Delivery, Event
from rooms.protocol.messages import Vsn

logger = logging.getLogger(__name__)

# What no client may join: the hub's own topic, heard by every process.
CONTROL_TOPIC = "$beam"
PRESENCE_STATE = "presence_state"
# Tells members that events may have been missed, so that they fetch anew.
GAP = "beam_gap"


class Member(Protocol):
    """A membership: one joined topic of one socket.

    `held`: not None while the join is under way; events wait there.
    `since`: presence changes up to this version are known to the client.
    `counts`: whether it is one of the members that figures tell of.
    `urgent`: those of `intercepts` that are handed over during a join too.
    """

    id: str
    topic: str
    socket: Socket
    labels: tuple[str, ...]
    held: Held | None
    since: int
    intercepts: frozenset[str]
    urgent: frozenset[str]
    counts: bool

    def handle_out(self, delivery: Delivery) -> None:
        """Take an intercepted event instead of the socket."""

    def overflowed(self) -> None:
        """More events came during the join than may wait: they are dropped."""


class Held:
    """Events that wait for the end of a member's join.

    Bounded as what waits for a client that reads slowly: see `rooms.protocol.backlog`.
    """

    __slots__ = ("_deliveries", "_size", "has_overflowed")

    def __init__(self) -> None:
        self._deliveries: list[Delivery] = []
        self._size = 0
        self.has_overflowed = False

    def add(self, run: Sequence[Delivery]) -> None:
        """Keep some events; once they are too many, none are kept any more."""
        self.has_overflowed |= self._size > CEILING * conf().outbound_limit
        self._size += sum(len(delivery.data) for delivery in run)
        self._deliveries.extend(run)
        if self.has_overflowed:
            metrics.DROPPED.value += len(self._deliveries)
            self._deliveries.clear()

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries)


def group_name(topic: str) -> str:
    """The layer's group for a topic: any text in, `[a-z0-9.]{38}` out."""
    return "topic." + blake2b(topic.encode(), digest_size=16).hexdigest()


class Topic:
    """The local members of one topic, by id and by label.

    `version_log`: which changes of its presence were delivered here. `counted`: how
    many of its members count.
    """

    __slots__ = ("by_label", "counted", "intercepts", "members", "version_log")

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.counted = 0
        self.by_label: dict[str, dict[str, Member]] = {}
        self.intercepts: frozenset[str] = frozenset()
        self.version_log = VersionLog()

    def add(self, member: Member) -> None:
        self.members[member.id] = member
        self.counted += member.counts
        self.intercepts |= member.intercepts
        for label in member.labels:
            self.by_label.setdefault(label, {})[member.id] = member

    def remove(self, member: Member) -> bool:
        """Whether the member was there."""
        if self.members.pop(member.id, None) is None:
            return False
        self.counted -= member.counts
        for label in member.labels:
            self.by_label[label].pop(member.id, None)
            if not self.by_label[label]:
                del self.by_label[label]
        return True

    def addressed(self, labels: Iterable[str]) -> dict[str, Member]:
        """The members that have one of the labels; looks at no others."""
        found: dict[str, Member] = {}
        for label in labels:
            found |= self.by_label.get(label, {})
        return found


class Hub:
    """The local members of all topics and the loop that serves them.

    `attach`, `detach` and `deliver` change tables before any await.
    """

    def __init__(self) -> None:
        self._layer: Any = get_channel_layer()
        # Asking for the running loop asks for the process id: a system call.
        self._loop = asyncio.get_running_loop()
        # Whatever is delivered to, it is not on behalf of who published.
        self._context = Context()
        self._topics: dict[str, Topic] = {}
        self._subscribed: set[str] = set()
        # Topics whose subscription is being changed.
        self._changing: dict[str, asyncio.Task[None]] = {}
        self._lock = asyncio.Lock()
        self._mailbox: str | None = None
        self._listening = False
        self._task: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._pending: dict[str, list[Delivery]] = {}
        self._receipts: dict[str, asyncio.Future[None]] = {}
        # In one process no change can be missed, and versions span topics.
        self._follows = bool(conf().redis_url)
        # How many members all topics have here.
        self.members = 0
        self.on_control: Callable[[Delivery], None] = lambda _: None

    @property
    def alive(self) -> bool:
        """Whether the mailbox is being read."""
        return self._listening or (self._task is not None and not self._task.done())

    async def start(self) -> None:
        """Open the mailbox and hear the control topic. Idempotent.

        Raises what the channel layer raises where it is away.
        """
        async with self._lock:
            if self.alive:
                return
            self._mailbox = await self._layer.new_channel()
            for topic in (CONTROL_TOPIC, *self._subscribed):
                await self._layer.group_add(group_name(topic), self._mailbox)
            if hasattr(self._layer, "listen"):
                self._layer.listen(self._mailbox, self.deliver)
                self._listening = True
            else:
                self._task = self._loop.create_task(self._serve(self._mailbox))

    async def settle(self) -> None:
        """Finish the background work."""
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    async def stop(self) -> None:
        """Finish the background work, then close the mailbox."""
        await self.settle()
        self._listening = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def attach(self, member: Member) -> None:
        """Let a member hear its topic. Returns when the layer is subscribed."""
        self._topics.setdefault(member.topic, Topic()).add(member)
        self.members += member.counts
        if not self.alive:
            await self.start()
        if member.topic not in self._subscribed or member.topic in self._changing:
            # Others wait for the same: one that gives up must not end it.
            await asyncio.shield(self._change(member.topic))

    def detach(self, member: Member) -> None:
        """Stop delivering to a member, at once. A member that is gone is no error."""
        topic = self._topics.get(member.topic)
        if topic is None or not topic.remove(member):
            return
        self.members -= member.counts
        if topic.members:
            return
        del self._topics[member.topic]
        self._change(member.topic)

    def knows(self, topic: str, version: int) -> None:
        """A member of the topic has a presence state of this version."""
        if self._follows and (local := self._topics.get(topic)) is not None:
            local.version_log.start_at(version)

    def followed(self) -> dict[str, int]:
        """The topics whose presence members here follow, and up to which version."""
        return {
            name: topic.version_log.known
            for name, topic in self._topics.items()
            if topic.version_log.known is not None
        }

    def latest(self, topic: str) -> int:
        """The number of the last presence change that was delivered to a topic."""
        found = self._topics.get(topic)
        return 0 if found is None else found.version_log.latest

    def rooms(self) -> int:
        """How many topics have members in this process: such as count."""
        return sum(topic.counted > 0 for topic in self._topics.values())

    def lives(self, topic: str) -> bool:
        """Whether a topic has members in this process: such as count."""
        found = self._topics.get(topic)
        return found is not None and found.counted > 0

    def resync(self, topic: str, snapshot: Snapshot, *, gap: bool) -> None:
        """Give this process's members of a topic a fresh presence state.

        `gap`: and tell them that they may have missed events.
        """
        if gap:
            event = Event(topic=topic, name=GAP, payload={})
            self.deliver(event.pack())
        event = Event(
            topic=topic,
            name=PRESENCE_STATE,
            payload=snapshot.state,
            version=snapshot.version,
        )
        self.deliver(event.pack())

    def size(self, topic: str) -> int:
        """How many members the topic has in this process."""
        return len(self._topics[topic].members) if topic in self._topics else 0

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in the background; `stop` waits for it.

        In a context of its own: that of a request ends with the request.
        """
        task = self._loop.create_task(work, context=Context())
        self._background.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Background work failed: %s", whereabouts(error))

    def _change(self, topic: str) -> asyncio.Task[None]:
        """Make the layer's group agree with the local table; one at a time a topic."""
        task = self._changing.get(topic)
        # One that is done has looked for the last time.
        if task is None or task.done():
            task = self._changing[topic] = self._loop.create_task(self._agree(topic))
            self._background.add(task)
            task.add_done_callback(partial(self._changed, topic))
        return task

    def _changed(self, topic: str, task: asyncio.Task[None]) -> None:
        if self._changing.get(topic) is task:
            del self._changing[topic]
        self._background.discard(task)
        # Whoever joined was told; a subscription nobody wants ends with its connection.
        if not task.cancelled():
            task.exception()

    async def _agree(self, topic: str) -> None:
        group = group_name(topic)
        while (topic in self._topics) != (topic in self._subscribed):
            if topic in self._topics:
                try:
                    await self._layer.group_add(group, self._mailbox)
                except BaseException:
                    with suppress(Exception):
                        await self._layer.group_discard(group, self._mailbox)
                    raise
                self._subscribed.add(topic)
            else:
                self._subscribed.discard(topic)
                await self._layer.group_discard(group, self._mailbox)

    async def _serve(self, mailbox: str) -> None:
        healthy, delay = True, 0.1
        while goes_on():
            try:
                for message in unbundle(await self._layer.receive(mailbox)):
                    self.deliver(message)
            except Exception as error:  # noqa: BLE001 - the loop must outlive any layer
                metrics.MAILBOX_ERRORS.value += 1
                if healthy:
                    # A layer's own words may quote a message.
                    logger.error(
                        "Cannot read the hub's mailbox: %s", type(error).__name__
                    )
                healthy = False
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
                delay = min(delay * 2, 5.0)
                continue
            if not healthy:
                logger.info("The hub's mailbox is read again")
                healthy, delay = True, 0.1

    def deliver(self, message: dict[str, Any]) -> None:
        """Take one message of the layer; written at the end of this loop turn."""
        delivery = Delivery(message)
        if not self._pending:
            self._loop.call_soon(self._flush, context=self._context)
        self._pending.setdefault(delivery.topic, []).append(delivery)

    def expect(self, receipt: str) -> asyncio.Future[None]:
        """Done once this process has delivered the event of that receipt."""
        future = self._loop.create_future()
        self._receipts[receipt] = future
        future.add_done_callback(lambda _: self._receipts.pop(receipt, None))
        return future

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for name, batch in pending.items():
            try:
                self._flush_topic(name, batch)
            except Exception:
                # A bug, which is not to cost the other topics anything.
                metrics.FAN_OUT_FAILED.value += 1
                logger.exception("Events of a topic were not all written")
            for delivery in batch:
                if delivery.receipt in self._receipts:
                    self._receipts[delivery.receipt].set_result(None)

    def _flush_topic(self, name: str, batch: list[Delivery]) -> None:
        if name == CONTROL_TOPIC:
            for delivery in batch:
                self.on_control(delivery)
        elif (topic := self._topics.get(name)) is not None:
            told = _followed(topic, batch) if self._follows else batch
            self._write(topic, told)
            _observe_latency(told)

    def _write(self, topic: Topic, batch: list[Delivery]) -> None:
        """Write a topic's events in order: runs of like ones in one go."""
        run: list[Delivery] = []
        for delivery in batch:
            if self._is_plain(topic, delivery):
                run.append(delivery)
                continue
            if run:
                _write_to_all(topic, run)
                run = []
            _write_one(topic, delivery)
        if run:
            _write_to_all(topic, run)

    @staticmethod
    def _is_plain(topic: Topic, delivery: Delivery) -> bool:
        return (
            delivery.to is None
            and not delivery.without
            and not delivery.version
            and delivery.name not in topic.intercepts
        )


def _followed(topic: Topic, batch: list[Delivery]) -> list[Delivery]:
    """The batch without what later presence changes have overruled."""
    told: list[Delivery] = []
    for delivery in batch:
        rest: Delivery | None = delivery
        if delivery.name == PRESENCE_STATE:
            topic.version_log.restart_at(delivery.version)
        elif delivery.version and not _is_next(topic, delivery):
            changes = delivery.changes()
            if (still := _taken(topic, delivery, changes)) != changes:
                rest = delivery.telling(still)
        if rest is not None:
            told.append(rest)
    return told


def _is_next(topic: Topic, delivery: Delivery) -> bool:
    return not delivery.more and topic.version_log.add_next(delivery.versions())


def _taken(topic: Topic, delivery: Delivery, changes: list[Diff]) -> list[Diff]:
    if delivery.more:
        return [topic.version_log.add_part(part) for part in changes]
    return topic.version_log.add(changes)


def release(member: Member) -> None:
    """End a member's hold: write what came in meanwhile."""
    held, member.held = member.held, None
    if held is None:
        return
    if held.has_overflowed:
        member.overflowed()
        return
    for delivery in held:
        if _is_for(member, delivery):
            _hand(member, delivery)


def _is_for(member: Member, delivery: Delivery) -> bool:
    if member.id == delivery.skip:
        return False
    if any(label in delivery.without for label in member.labels):
        return False
    return delivery.to is None or any(label in delivery.to for label in member.labels)


def _hand(member: Member, delivery: Delivery) -> None:
    if delivery.name == PRESENCE_STATE:
        member.since = delivery.version
    elif delivery.version:
        rest = delivery.after(member.since)
        if rest is None:
            return
        delivery = rest
    if delivery.name in member.intercepts:
        member.handle_out(delivery)
    else:
        member.socket.deliver((delivery,), None)


def _write_one(topic: Topic, delivery: Delivery) -> None:
    """An event that is direct, intercepted, or known to some already."""
    found = topic.members if delivery.to is None else topic.addressed(delivery.to)
    meant = [m for m in found.values() if m.held is not None or _is_for(m, delivery)]
    for member in meant:
        if member.held is None:
            _hand(member, delivery)
        elif delivery.name not in member.urgent:
            member.held.add((delivery,))
        elif _is_for(member, delivery):
            member.handle_out(delivery)
    metrics.FAN_OUT.observe(len(meant))


def _observe_latency(written: Iterable[Delivery]) -> None:
    now = time()
    for delivery in written:
        if delivery.at:
            # Clocks of hosts differ.
            metrics.LATENCY.observe(max(0.0, now - delivery.at))


def _write_to_all(topic: Topic, run: Sequence[Delivery]) -> None:
    """Events for everyone but their senders: the same bytes for all."""
    skipped = {delivery.skip for delivery in run if delivery.skip}
    joined: dict[Vsn, bytes] = {}
    metrics.FAN_OUT.observe(len(topic.members), len(run))
    for member in list(topic.members.values()):
        socket = member.socket
        if member.held is not None:
            member.held.add(run)
        elif member.id in skipped:
            if rest := [delivery for delivery in run if delivery.skip != member.id]:
                socket.deliver(rest, None)
        else:
            vsn = socket.vsn
            if vsn not in joined:
                joined[vsn] = join_prepared(run, vsn)
            socket.deliver(run, joined[vsn])


@per_loop
def hub() -> Hub:
    """The running loop's hub."""
    return Hub()
