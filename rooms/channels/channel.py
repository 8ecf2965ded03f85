"""`Channel`: one joined topic of one socket, and what a project overrides of it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final

import orjson

from beam.config.conf import conf
from beam.telemetry import metrics
from presence.state import State
from rooms.channels.channel_task import NO_REF, ChannelTask
from rooms.channels.connection_interface import ConnectionInterface
from rooms.channels.results import Refused
from rooms.messaging import publisher
from rooms.messaging.channel_queue import OVERHEAD, Item, Message, Work, weigh
from rooms.messaging.hub import hub
from rooms.messaging.member import HeldEvents
from rooms.protocol.connection import channel_join_ref
from rooms.protocol.encoded_event import Delivery
from rooms.protocol.event import Event
from rooms.protocol.event_names import is_phoenix_event
from rooms.protocol.frame import Frame, reply
from rooms.protocol.presence_parts import joins_of, state_parts
from rooms.protocol.reasons import Reason

_ids = itertools.count(1)
_PROCESS = secrets.token_urlsafe(6)


_EMPTY: Final[dict[str, Any]] = {}


class Channel:
    """One joined topic of one socket.

    Messages are handled one after the other. A handler that returns an
    awaitable gets a task for as long as it runs; an idle channel has none.
    A handler that raises ends this channel only.

    `intercepts`: names of events that go to `intercepted`, not to the client.
    `urgent`: those of them that go to `interrupted`, before all that waits.
    `labels`: what direct messages to this member are addressed to.
    """

    intercepts: frozenset[str] = frozenset()
    urgent: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()

    def __init__(self, topic: str, frame: Frame, owner: ConnectionInterface) -> None:
        self.id = f"{_PROCESS}{next(_ids)}"
        self.topic = topic
        self.join_ref = channel_join_ref(frame)
        self.owner = owner
        self.socket = owner.socket
        # Events that came during the join; None after it.
        self.held: HeldEvents | None = HeldEvents()
        # The version of the presence that the client has.
        self.since = 0
        self.stopped = False
        # What `cleanup` returned.
        self.gone: asyncio.Task[Any] | None = None
        # None while the channel is idle.
        self._channel_task: ChannelTask | None = None

    # What a subclass overrides.

    async def join(self, payload: Any) -> Any:
        """Accept the join: returns the response of its reply. Raises `Refused`.

        Any JSON value, or bytes; None is sent as `{}`, `NULL` as null.
        Call `subscribe` once the client may receive the events of the topic.
        """
        return {}

    async def joined(self) -> None:
        """The reply was sent: push what the client gets before other events."""

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        """Handle a message; `reply` answers it. Raises `Refused` for an error reply."""
        raise NotImplementedError(f"no handler for {event!r}")

    def intercepted(self, event: str, payload: Any) -> Awaitable[None] | None:
        """Handle an event of `intercepts`, which the client does not get."""

    def interrupted(self, event: str, payload: Any) -> None:
        """Handle an event of `urgent` at once, before all that waits.

        Called as soon as the event arrives, during a join too (`held` is not
        None then).
        """

    def terminate(self) -> None:
        """The channel ends, in any way but a second join."""

    def cleanup(self, *, lost: bool) -> asyncio.Task[Any] | None:
        """Release what the channel holds, however it ends.

        `lost`: the connection ended, not only the channel. What takes time is
        returned as a task: a second join of the topic waits for it.
        """
        return None

    # What a subclass calls.

    async def subscribe(self) -> None:
        """Receive the events of the topic; they wait until the join is answered.

        Raises `Refused` for a channel that was closed during its join.
        """
        if self.stopped:
            raise Refused(Reason.UNAVAILABLE)
        await hub().attach(self)

    def push(self, event: str, payload: Any) -> None:
        """Send an event to this client. `payload` is an object, or bytes.

        Raises `ValueError` for event names of Phoenix: `phx_*` and `chan_reply*`.
        """
        _check(event, payload)
        self.socket.send((Frame(self.join_ref, None, self.topic, event, payload),))

    def push_state(self, state: State) -> None:
        """Send who is present: a `presence_state`, and the rest as `presence_diff`s."""
        first, *others = state_parts(state, conf().max_presence_frame_bytes)
        pushed = [("presence_state", first)]
        pushed += [("presence_diff", joins_of(part)) for part in others]
        self.socket.send(
            Frame(self.join_ref, None, self.topic, event, payload)
            for event, payload in pushed
        )

    def reply(self, ref: Any, status: str = "ok", response: Any = _EMPTY) -> None:
        """Answer a message; `response` is any JSON value, or bytes.

        It is `{}` if it is not given, null for None. Raises `TypeError` or
        `ValueError` for what cannot be encoded, such as bytes for V1.
        """
        to = Frame(self.join_ref, ref, self.topic, "", None)
        self.socket.send((reply(to, status, response, self.join_ref),))

    async def broadcast(
        self, event: str, payload: Any, *, to_self: bool = True
    ) -> None:
        """Send to all members of the topic; returns when this process delivered it.

        `payload` is an object, or bytes. Raises `publisher.NotPublished`, and
        `ValueError` for event names of Phoenix: `phx_*` and `chan_reply*`.
        """
        _check(event, payload)
        skip = None if to_self else self.id
        message = Event(topic=self.topic, name=event, payload=payload, skip=skip)
        await publisher.publish_and_deliver(message)

    def stop(self) -> None:
        """End the channel: the client gets `phx_close`."""
        self.owner.ended(self)

    # What the connection and the hub call.

    def handle(self, frame: Frame, data: Message) -> None:
        """Take a message of the client, behind those that came before.

        `data`: the message as it came. If it has to wait, it is decoded again: a
        frame takes more memory.
        """
        if self._channel_task is not None:
            self._channel_task.put(Item(data, weigh(data), is_inbound=True))
            return
        if self.stopped:
            return
        try:
            pending = self.receive(frame.event, frame.payload, frame.ref)
        except Refused as refusal:
            self.refuse(frame.ref, refusal)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.owner.crashed(self, error)
        else:
            if pending is not None:
                self._channel_task = ChannelTask(self, pending, frame.ref)

    def handle_out(self, delivery: Delivery) -> None:
        """Take an intercepted event: an urgent one at once, others in order.

        The channel ends if more than `outbound_limit` bytes of them would wait; a
        single one may be larger.
        """
        if delivery.name in self.urgent:
            self.interrupted(delivery.name, _payload(delivery))
            return
        size = len(delivery.data) + OVERHEAD
        if self._channel_task is not None and not self._channel_task.has_room(size):
            self.overflowed()
            return
        self._enqueue(Item(partial(self._intercept, delivery), size, is_inbound=False))

    def overflowed(self) -> None:
        """End the channel, which is too slow for the events of its topic."""
        metrics.OVERFLOWS.value += 1
        self.owner.overflowed(self)

    def leave(self, done: Work, size: int) -> None:
        """Call back when everything that came before is done.

        `size`: bytes that the request to leave takes.
        """
        self._enqueue(Item(done, size, is_inbound=True))

    def close(self, *, lost: bool = False) -> None:
        """Leave the topic, at once and for good. Idempotent, never awaits.

        `lost`: because the connection ended.
        """
        if self.stopped:
            return
        self.stopped = True
        if self._channel_task is not None:
            self._channel_task.drop()
        hub().detach(self)
        if self._channel_task is not None:
            self._channel_task.cancel()
        self.gone = self.cleanup(lost=lost)

    # What its task calls.

    def start_work(self, what: Message | Work) -> tuple[Awaitable[None] | None, Any]:
        """Handle a waiting item: what to await, and the ref of its message.

        The ref is answered if the awaitable raises `Refused`.
        """
        if not isinstance(what, (str, bytes)):
            return what(), NO_REF
        frame = self.owner.decode(what)
        try:
            pending = self.receive(frame.event, frame.payload, frame.ref)
        except Refused as refusal:
            self.refuse(frame.ref, refusal)
            pending = None
        return pending, frame.ref

    def refuse(self, ref: Any, refusal: Refused) -> None:
        """Answer a message with an error, and count it."""
        metrics.MESSAGES_REFUSED.count(refusal.response["reason"])
        self.reply(ref, "error", refusal.response)

    def work_done(self) -> None:
        """The task has nothing left to do."""
        self._channel_task = None

    def _intercept(self, delivery: Delivery) -> Awaitable[None] | None:
        return self.intercepted(delivery.name, _payload(delivery))

    def _enqueue(self, item: Item) -> None:
        """Do an item, after those that wait."""
        if self._channel_task is not None:
            self._channel_task.put(item)
            return
        if self.stopped:
            return
        try:
            pending, ref = self.start_work(item.what)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.owner.crashed(self, error)
            return
        if pending is not None:
            self._channel_task = ChannelTask(self, pending, ref)


def _payload(delivery: Delivery) -> Any:
    raw = delivery.payload
    return raw if delivery.binary else orjson.loads(raw)


def _check(event: str, payload: Any) -> None:
    """Raise for an event that clients cannot read.

    An event name of Phoenix would end a channel or forge a reply: a channel that
    relays event names of its clients must not send it by mistake.
    """
    if is_phoenix_event(event):
        raise ValueError(
            f"{event!r} is reserved: clients take it for an event of Phoenix"
        )
    if type(payload) not in (dict, bytes):
        raise TypeError(f"the payload must be an object or bytes, not {type(payload)}")
