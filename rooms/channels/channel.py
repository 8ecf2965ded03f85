"""Owns `Channel`: one joined topic of one socket, and its inbox."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final, Protocol

import orjson

from beam.config.conf import conf
from beam.telemetry import metrics
from presence.state import State
from rooms.auth import grants
from rooms.messaging import publisher
from rooms.messaging.hub import hub
from rooms.messaging.inbox import OVERHEAD, Inbox, Item, Message, Work, weigh
from rooms.messaging.member import Held
from rooms.messaging.outbound import Socket
from rooms.protocol.connection import channel_join_ref
from rooms.protocol.event import Delivery, Event
from rooms.protocol.event_names import is_of_phoenix
from rooms.protocol.messages import Frame, Reason, reply
from rooms.protocol.presence_parts import joins_of, state_parts

logger = logging.getLogger(__name__)

# Messages of one channel in a row before the others have their turn.
TURN = 32
_ids = itertools.count(1)
_PROCESS = secrets.token_urlsafe(6)


_EMPTY: Final[dict[str, Any]] = {}

NULL: Final = object()
"""What a join returns to be answered with null, as None is `{}`."""


class Refused(Exception):
    """A request is answered with an error; the channel lives on."""

    def __init__(
        self, reason: str, message: str = "", wait: float = 0.0, why: str = ""
    ) -> None:
        """`wait`: seconds after which it may be tried again; 0: nobody knows.

        `why`: more than the client is told, for the log; the message if empty.
        """
        super().__init__(reason)
        self.reason, self.why = str(reason), why or message
        self.response: dict[str, Any] = {"reason": str(reason)}
        if message:
            self.response["message"] = message
        if wait:
            self.response["retry_after_ms"] = math.ceil(wait * 1_000)


class Owner(Protocol):
    """The connection that a channel belongs to."""

    socket: Socket
    identity: grants.Identity
    params: dict[str, Any]
    auth_token: str | None
    departed: dict[str, State]

    def ended(self, channel: Channel) -> None:
        """The channel stopped in order: tell the client, forget it."""

    def crashed(self, channel: Channel, error: Exception) -> None:
        """The channel raised: tell the client, forget it."""

    def overflowed(self, channel: Channel) -> None:
        """More waits in the channel than may: tell the client, forget it."""

    def decode(self, data: Message) -> Frame:
        """A message as a frame; it was decoded before."""

    def waits(self, size: int) -> None:
        """So many more bytes of the client wait, or so many fewer (below 0)."""


NOBODY: Final = object()
"""In place of a ref: the work answers no message."""


class Channel:
    """One joined topic of one socket.

    Messages are handled one after the other. A handler that returns an
    awaitable gets a task for as long as it runs; an idle channel has none.
    A handler that raises takes down this channel only.
    """

    intercepts: frozenset[str] = frozenset()
    # Those of `intercepts` that wait for nothing: see `interrupted`.
    urgent: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    counts = True

    def __init__(self, topic: str, frame: Frame, owner: Owner) -> None:
        self.id = f"{_PROCESS}{next(_ids)}"
        self.topic = topic
        self.join_ref = channel_join_ref(frame)
        self.owner = owner
        self.socket = owner.socket
        self.held: Held | None = Held()
        self.since = 0
        self.stopped = False
        self.gone: asyncio.Task[Any] | None = None
        # None while nothing waits: an idle channel weighs nothing more.
        self._inbox: Inbox | None = None
        self._busy: asyncio.Task[None] | None = None

    # What a subclass says.

    async def join(self, payload: Any) -> Any:
        """Admit the client: the body of the reply. Raises `Refused`.

        Any JSON value, or bytes; None stands for `{}`, and `NULL` for null.
        Call `subscribe` once it may hear the topic.
        """
        return {}

    async def joined(self) -> None:
        """The reply is written: push what the client should have first."""

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        """Handle a message. Raises `Refused` for an error reply."""
        raise NotImplementedError(f"no handler for {event!r}")

    def intercepted(self, event: str, payload: Any) -> Awaitable[None] | None:
        """Handle an event of `intercepts` in place of the socket."""

    def interrupted(self, event: str, payload: Any) -> None:
        """Handle an event of `urgent`, whatever is queued or running.

        Called as soon as the event arrives, during a join too (`held` is not
        None then).
        """

    def terminate(self) -> None:
        """The channel ends, by whatever way but a second join."""

    def cleanup(self, *, lost: bool) -> asyncio.Task[Any] | None:
        """Give back what the channel holds, on every way out.

        `lost`: the connection ended; else the channel did. What takes time is a
        task: a second join of the topic waits for it.
        """
        return None

    # What a subclass calls.

    async def subscribe(self) -> None:
        """Hear the topic; events wait until the join is answered.

        Raises `Refused` for a channel that was closed during its join.
        """
        if self.stopped:
            raise Refused(Reason.UNAVAILABLE)
        await hub().attach(self)

    def push(self, event: str, payload: Any) -> None:
        """Send an event to this client. `payload` is an object, or bytes.

        Raises `ValueError` for names of Phoenix's own: `phx_*` and `chan_reply*`.
        """
        _check(event, payload)
        self.socket.send((Frame(self.join_ref, None, self.topic, event, payload),))

    def push_state(self, state: State) -> None:
        """Send who is present: `presence_state`, and what is too much as diffs."""
        first, *others = state_parts(state, conf().max_presence_bytes)
        pushed = [("presence_state", first)]
        pushed += [("presence_diff", joins_of(part)) for part in others]
        self.socket.send(
            Frame(self.join_ref, None, self.topic, event, payload)
            for event, payload in pushed
        )

    def reply(self, ref: Any, status: str = "ok", response: Any = _EMPTY) -> None:
        """Answer a message; `response` is any JSON value, or bytes.

        It is `{}` if it is not given, and null if it is None. What cannot be
        written, as bytes to V1, raises `TypeError` or `ValueError`.
        """
        to = Frame(self.join_ref, ref, self.topic, "", None)
        self.socket.send((reply(to, status, response, self.join_ref),))

    async def broadcast(
        self, event: str, payload: Any, *, to_self: bool = True
    ) -> None:
        """Send to everyone on the topic; returns when it was delivered here.

        `payload` is an object, or bytes. Raises `publisher.NotPublished`, and
        `ValueError` for names of Phoenix's own: `phx_*` and `chan_reply*`.
        """
        _check(event, payload)
        skip = None if to_self else self.id
        message = Event(topic=self.topic, name=event, payload=payload, skip=skip)
        await publisher.publish_and_deliver(message)

    def stop(self) -> None:
        """End the channel: the client gets `phx_close`."""
        self.owner.ended(self)

    # What the connection calls.

    def handle(self, frame: Frame, data: Message) -> None:
        """Take a message of the client, behind those that came before.

        `data`: the frame as it came, which waits in its place.
        """
        if self._busy is not None or self.stopped:
            self._wait(Item(data, weigh(data), is_inbound=True))
            return
        try:
            pending = self.receive(frame.event, frame.payload, frame.ref)
        except Refused as refusal:
            self._refuse(frame.ref, refusal)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.owner.crashed(self, error)
        else:
            if pending is not None:
                self._begin(pending, frame.ref)

    def handle_out(self, delivery: Delivery) -> None:
        """Take an intercepted event: an urgent one at once, others in order.

        The channel ends if more than `outbound_limit` bytes of them wait.
        """
        if delivery.name in self.urgent:
            self.interrupted(delivery.name, _payload(delivery))
            return
        size = len(delivery.data) + OVERHEAD
        if self._inbox and self._inbox.outbound + size > conf().outbound_limit:
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
        """Off the topic, at once and for good. Idempotent, never awaits.

        `lost`: because the connection ended.
        """
        if self.stopped:
            return
        self.stopped = True
        self._drop_inbox()
        hub().detach(self)
        if self._busy is not None and self._busy is not asyncio.current_task():
            # Not at once: a task that never began would not close its handler.
            asyncio.get_running_loop().call_soon(self._busy.cancel)
        self.gone = self.cleanup(lost=lost)

    def _drop_inbox(self) -> None:
        if self._inbox is not None:
            metrics.MESSAGES_DROPPED.value += len(self._inbox)
            self.owner.waits(-self._inbox.inbound)
            self._inbox = None

    def _intercept(self, delivery: Delivery) -> Awaitable[None] | None:
        return self.intercepted(delivery.name, _payload(delivery))

    def _refuse(self, ref: Any, refusal: Refused) -> None:
        metrics.MESSAGES_REFUSED.count(refusal.response["reason"])
        self.reply(ref, "error", refusal.response)

    def _wait(self, item: Item) -> None:
        if self.stopped:
            return
        if self._inbox is None:
            self._inbox = Inbox()
        self._inbox.put(item)
        if item.is_inbound:
            self.owner.waits(item.size)

    def _enqueue(self, item: Item) -> None:
        """Do some work, behind what waits."""
        if self._busy is not None or self.stopped:
            self._wait(item)
            return
        try:
            pending, ref = self._start(item.what)
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.owner.crashed(self, error)
            return
        if pending is not None:
            self._begin(pending, ref)

    def _begin(self, pending: Awaitable[None], ref: Any) -> None:
        loop = asyncio.get_running_loop()
        self._busy = loop.create_task(self._work_off(pending, ref))

    def _start(self, what: Message | Work) -> tuple[Awaitable[None] | None, Any]:
        """What is left to wait for, and the ref that is answered if it refuses."""
        if not isinstance(what, (str, bytes)):
            return what(), NOBODY
        frame = self.owner.decode(what)
        try:
            pending = self.receive(frame.event, frame.payload, frame.ref)
        except Refused as refusal:
            self._refuse(frame.ref, refusal)
            pending = None
        return pending, frame.ref

    async def _work_off(self, pending: Awaitable[None] | None, ref: Any) -> None:
        try:
            for done in itertools.count(1):
                if pending is not None:
                    await self._finish(pending, ref)
                elif done % TURN == 0:
                    await asyncio.sleep(0)
                if self.stopped or not self._inbox:
                    break
                pending, ref = self._start(self._take())
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            if not self.stopped:
                self.owner.crashed(self, error)
        finally:
            self._busy = None
            if not self._inbox:
                self._inbox = None

    def _take(self) -> Message | Work:
        """What waits longest."""
        assert self._inbox is not None  # noqa: S101 - `_work_off` has looked
        item = self._inbox.pop()
        if item.is_inbound:
            self.owner.waits(-item.size)
        return item.what

    async def _finish(self, pending: Awaitable[None], ref: Any) -> None:
        if self.stopped:
            if asyncio.iscoroutine(pending):
                pending.close()
            return
        try:
            await pending
        except Refused as refusal:
            if ref is NOBODY:
                raise
            self._refuse(ref, refusal)


def _payload(delivery: Delivery) -> Any:
    raw = delivery.payload
    return raw if delivery.binary else orjson.loads(raw)


def _check(event: str, payload: Any) -> None:
    """Clients cannot read other payloads; Phoenix lets the channel crash.

    An event with a name of Phoenix's own would end a channel or forge an answer,
    so a channel that relays names of its clients cannot send it by mistake.
    """
    if is_of_phoenix(event):
        raise ValueError(f"{event!r} is reserved: clients take it for Phoenix's own")
    if type(payload) not in (dict, bytes):
        raise TypeError(f"a payload is an object or bytes, not {type(payload)}")
