"""Owns what one joined topic does: `Channel`, its inbox, and `RoomChannel`.

A topic pattern maps to a `Channel` class, as in Phoenix. `room:*` is Beam's
own; a project adds classes in `settings.BEAM["channels"]`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any, Protocol

import orjson
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from beam import metrics
from beam.conf import conf
from beam.redis import RedisError
from presence.state import Diff, State
from presence.tracker import NotTracked, tracker
from rooms import access, relay
from rooms.diffs import diffs
from rooms.event import Delivery, Event
from rooms.hub import hub, release
from rooms.protocol import channel_join_ref
from rooms.socket import Socket
from rooms.wire import Frame, Reason, is_reserved, reply

logger = logging.getLogger(__name__)

_ids = itertools.count(1)
_PROCESS = secrets.token_urlsafe(6)


class Refused(Exception):
    """A request is answered with an error; the channel lives on."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.response = {"reason": str(reason)}
        if message:
            self.response["message"] = message


class Owner(Protocol):
    """The connection that a channel belongs to."""

    socket: Socket
    identity: access.Identity
    params: dict[str, Any]
    auth_token: str | None
    departed: dict[str, State]

    def ended(self, channel: Channel) -> None:
        """The channel stopped in order: tell the client, forget it."""

    def crashed(self, channel: Channel, error: Exception) -> None:
        """The channel raised: tell the client, forget it."""


Work = Callable[[], "Awaitable[None] | None"]


class Channel:
    """One joined topic of one socket.

    Messages are handled one after the other. A handler that returns an
    awaitable gets a task for as long as it runs; an idle channel has none.
    A handler that raises takes down this channel only.
    """

    intercepts: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()

    def __init__(self, topic: str, frame: Frame, owner: Owner) -> None:
        self.id = f"{_PROCESS}{next(_ids)}"
        self.topic = topic
        self.join_ref = channel_join_ref(frame)
        self.owner = owner
        self.socket = owner.socket
        self.held: list[Delivery] | None = []
        self.since = 0
        self.stopped = False
        self.gone: asyncio.Task[Any] | None = None
        self._inbox: deque[Work] = deque()
        self._busy: asyncio.Task[None] | None = None

    # What a subclass says.

    async def join(self, payload: Any) -> Any:
        """Let the client in: the reply's body. Raises `Refused`.

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

    def terminate(self) -> None:
        """The channel ends, by whatever way but a second join."""

    def cleanup(self) -> asyncio.Task[Any] | None:
        """Give back what the channel holds, on every way out.

        What takes time is a task: a second join of the topic waits for it.
        """
        return None

    # What a subclass calls.

    async def subscribe(self) -> None:
        """Hear the topic; events wait until the join is answered."""
        await hub().attach(self)

    def push(self, event: str, payload: Any) -> None:
        """Send an event to this client. `payload` is an object, or bytes."""
        _check(payload)
        self.socket.send((Frame(self.join_ref, None, self.topic, event, payload),))

    def reply(self, ref: Any, status: str = "ok", response: Any = None) -> None:
        """Answer a message; `response` is an object, or bytes."""
        to = Frame(self.join_ref, ref, self.topic, "", None)
        body = {} if response is None else response
        self.socket.send((reply(to, status, body, self.join_ref),))

    async def broadcast(
        self, event: str, payload: Any, *, to_self: bool = True
    ) -> None:
        """Send to everyone on the topic; returns when it was delivered here.

        `payload` is an object, or bytes. Raises `relay.Unavailable`.
        """
        _check(payload)
        skip = None if to_self else self.id
        message = Event(topic=self.topic, name=event, payload=payload, skip=skip)
        await relay.publish_and_deliver(message)

    def stop(self) -> None:
        """End the channel: the client gets `phx_close`."""
        self.owner.ended(self)

    # What the connection calls.

    def handle(self, frame: Frame) -> None:
        """Take a message of the client, behind those that came before."""
        self._enqueue(partial(self._receive, frame))

    def handle_out(self, delivery: Delivery) -> None:
        """Take an intercepted event, behind what waits."""
        raw = delivery.payload
        payload = raw if delivery.binary else orjson.loads(raw)
        self._enqueue(partial(self.intercepted, delivery.name, payload))

    def leave(self, done: Callable[[], None]) -> None:
        """Call back when everything that came before is done."""
        self._enqueue(done)

    def close(self) -> None:
        """Off the topic, at once and for good. Idempotent, never awaits."""
        if self.stopped:
            return
        self.stopped = True
        self._inbox.clear()
        hub().detach(self)
        if self._busy is not None and self._busy is not asyncio.current_task():
            self._busy.cancel()
        self.gone = self.cleanup()

    def _receive(self, frame: Frame) -> Awaitable[None] | None:
        try:
            work = self.receive(frame.event, frame.payload, frame.ref)
        except Refused as refusal:
            self.reply(frame.ref, "error", refusal.response)
            return None
        return None if work is None else self._answering(work, frame.ref)

    async def _answering(self, work: Awaitable[None], ref: Any) -> None:
        try:
            await work
        except Refused as refusal:
            self.reply(ref, "error", refusal.response)

    def _enqueue(self, work: Work) -> None:
        if self.stopped:
            return
        if self._busy is not None:
            self._inbox.append(work)
            return
        try:
            pending = work()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            self.owner.crashed(self, error)
            return
        if pending is not None:
            loop = asyncio.get_running_loop()
            self._busy = loop.create_task(self._work_off(pending))

    async def _work_off(self, pending: Awaitable[None] | None) -> None:
        try:
            while True:
                if pending is not None:
                    await pending
                if self.stopped or not self._inbox:
                    return
                pending = self._inbox.popleft()()
        except Exception as error:  # noqa: BLE001 - a channel may raise anything
            if not self.stopped:
                self.owner.crashed(self, error)
        finally:
            self._busy = None


def _check(payload: Any) -> None:
    """Clients cannot read other payloads; Phoenix lets the channel crash."""
    if type(payload) not in (dict, bytes):
        raise TypeError(f"a payload is an object or bytes, not {type(payload)}")


MAX_ROOM_ID = 200
MAX_SESSION_ID = 64


def room_topic(room_id: object) -> str:
    """The topic of a room. Raises `ValueError` for an id that is none.

    A room id is 1 to 200 characters of any script, without control
    characters.
    """
    if not isinstance(room_id, str) or not 0 < len(room_id) <= MAX_ROOM_ID:
        raise ValueError(f"a room id has 1 to {MAX_ROOM_ID} characters")
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in room_id):
        raise ValueError("a room id has no control characters")
    return f"room:{room_id}"


async def untrack(topic: str, refs: list[str]) -> None:
    """Take presence entries away and tell the topic.

    Where Redis is away the entries stay until this process's lease ends.
    """
    try:
        diffs().publish(topic, await tracker().untrack(topic, refs))
    except (RedisError, OSError) as error:
        metrics.UNTRACK_FAILED.value += len(refs)
        logger.warning("Presence of a member could not be taken away: %r", error)


class RoomChannel(Channel):
    """A room: messages to all or to some, and who is present."""

    session: str
    grant: access.RoomGrant
    meta: dict[str, Any]
    online_at: str
    _ref: str | None = None
    _diff: Diff | None = None
    _own: State
    _road: relay.Relay
    _sent: relay.Sent | None = None

    async def join(self, payload: Any) -> Any:
        room_id = self.topic.removeprefix("room:")
        self._check_room_id(room_id)
        session_id, meta = _join_fields(payload)
        user_id = self.owner.identity.user_id
        try:
            token = payload["room_token"]
            self.grant = await access.enter(token, room_id, self.owner.identity)
        except access.Unauthorized:
            raise Refused(Reason.UNAUTHORIZED) from None
        except access.BackendAway:
            raise Refused(Reason.UNAVAILABLE) from None
        self.session = f"{user_id}:{session_id}"
        self.labels = (f"session:{self.session}", f"user:{user_id}")
        self.online_at = str(int(time.time()))
        await self._enter(meta)
        return {}

    @staticmethod
    def _check_room_id(room_id: str) -> None:
        try:
            room_topic(room_id)
        except ValueError as error:
            raise Refused(Reason.INVALID_ROOM_ID, str(error)) from None

    async def _enter(self, meta: dict[str, Any]) -> None:
        """Subscribe first, then read; whoever may not be present only reads."""
        self._road = relay.relay()
        try:
            await self.subscribe()
            if "presence" not in self.grant.can:
                before = await tracker().list(self.topic)
            else:
                self._ref, self._diff, before = await tracker().track(
                    self.topic, self.session, self._own_meta(meta)
                )
                self._own = self._diff.joins
        except (RedisError, OSError):
            raise Refused(Reason.UNAVAILABLE) from None
        self.since = before.version
        self._before = before.state

    def _own_meta(self, meta: dict[str, Any]) -> dict[str, Any]:
        return meta | self.grant.meta | {"online_at": self.online_at}

    async def joined(self) -> None:
        self.push("presence_state", self._before)
        del self._before
        self._forget_former_self()
        release(self)
        if self._diff is not None:
            diffs().publish(self.topic, self._diff)
            self._diff = None

    def _forget_former_self(self) -> None:
        """Take back the presence this connection had here a moment ago.

        A client that leaves and joins at once gives its new channel the join
        that was still on its way to the old one; the leave is in the new state
        already and would never come.
        """
        former = self.owner.departed.pop(self.topic, None)
        if former is not None:
            self.push("presence_diff", Diff(leaves=former).payload())

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        if type(event) is not str or not event:
            raise Refused(Reason.INVALID_PAYLOAD, "an event name is text")
        if type(payload) is not dict:
            raise Refused(Reason.INVALID_PAYLOAD, "a payload is an object")
        if event == "presence_update":
            return self._update(payload, ref)
        if is_reserved(event):
            raise Refused(Reason.RESERVED_EVENT, f"{event} is not for clients")
        if "push" not in self.grant.can:
            raise Refused(Reason.FORBIDDEN, "the room token does not allow to push")
        self._relay(event, payload, ref)
        return None

    def _relay(self, event: str, payload: dict[str, Any], ref: Any) -> None:
        to = None if payload.get("broadcast") is True else addressees(payload)
        source = {"user_id": self.owner.identity.user_id, "session": self.session}
        message = Event(
            topic=self.topic,
            name=event,
            payload=payload | {"from": source},
            skip=self.id,
            to=to,
        )
        self._sent = self._road.publish(message)
        if self._sent is None:
            self.reply(ref)
        else:
            self._sent.add_done_callback(partial(self._relayed, ref))

    def leave(self, done: Callable[[], None]) -> None:
        """The answers that are still under way come before the leave's."""
        sent = self._sent
        if sent is None or sent.done():
            super().leave(done)
        else:
            self._enqueue(partial(_after, sent, done))

    def _relayed(self, ref: Any, sent: relay.Sent) -> None:
        if self.stopped or sent.cancelled():
            return
        if sent.exception() is None:
            self.reply(ref)
        else:
            self.reply(ref, "error", {"reason": Reason.UNAVAILABLE})

    async def _update(self, payload: dict[str, Any], ref: Any) -> None:
        if "presence" not in self.grant.can or self._ref is None:
            raise Refused(Reason.FORBIDDEN, "the room token does not allow presence")
        meta = _client_meta(payload.get("meta"))
        try:
            own = self._own_meta(meta)
            self._ref, diff = await tracker().update(self.topic, self._ref, own)
            self._own = diff.joins
            diffs().publish(self.topic, diff)
        except (RedisError, OSError, NotTracked):
            raise Refused(Reason.UNAVAILABLE) from None
        self.reply(ref)

    def cleanup(self) -> asyncio.Task[Any] | None:
        if self._ref is None:
            return None
        ref, self._ref = self._ref, None
        self.owner.departed[self.topic] = self._own
        return hub().spawn(untrack(self.topic, [ref]))


async def _after(sent: relay.Sent, done: Callable[[], None]) -> None:
    await asyncio.wait([sent])
    done()


def _join_fields(payload: Any) -> tuple[str, dict[str, Any]]:
    """`session_id` as text and the client's meta, of a join's payload."""
    if type(payload) is not dict or "room_token" not in payload:
        message = "join with {room_token, session_id, meta?}"
        raise Refused(Reason.INVALID_PAYLOAD, message)
    session_id = payload.get("session_id")
    if type(session_id) in (int, float):
        session_id = str(session_id)
    if type(session_id) is not str or not 0 < len(session_id) <= MAX_SESSION_ID:
        message = f"session_id is text or a number, 1 to {MAX_SESSION_ID} characters"
        raise Refused(Reason.INVALID_PAYLOAD, message)
    if ":" in session_id:
        raise Refused(Reason.INVALID_PAYLOAD, "session_id has no colon")
    return session_id, _client_meta(payload.get("meta", {}))


def _client_meta(meta: Any) -> dict[str, Any]:
    if type(meta) is not dict:
        raise Refused(Reason.INVALID_PAYLOAD, "meta is an object")
    try:
        size = len(orjson.dumps(meta))
    except TypeError:
        raise Refused(Reason.INVALID_PAYLOAD, "meta cannot be kept") from None
    if size > conf().max_meta_bytes:
        message = f"meta has at most {conf().max_meta_bytes} bytes"
        raise Refused(Reason.INVALID_PAYLOAD, message)
    return meta


def addressees(payload: dict[str, Any]) -> tuple[str, ...]:
    """The labels that a direct message's `to` names.

    An entry's `session` wins over its user. Raises `Refused` for a `to` that
    is missing or has an entry that names nobody: nothing is relayed then.
    """
    to = payload.get("to")
    if type(to) is not list:
        message = 'say "broadcast": true, or "to": [{"session"} or {"user_id"}, ...]'
        raise Refused(Reason.INVALID_PAYLOAD, message)
    return tuple(map(_label, to))


def _label(entry: Any) -> str:
    if type(entry) is dict:
        for name, kind in (
            ("session", "session"),
            ("userId", "user"),
            ("user_id", "user"),
        ):
            if name in entry:
                if type(entry[name]) is str:
                    return f"{kind}:{entry[name]}"
                break
    message = 'an entry of "to" has a session, userId or user_id (text)'
    raise Refused(Reason.INVALID_PAYLOAD, message)


class Patterns:
    """Topic patterns and their classes: exact, or `prefix*`. First match wins."""

    def __init__(self, classes: dict[str, type[Channel]]) -> None:
        self._classes = classes

    def find(self, topic: str) -> type[Channel] | None:
        """The class for a topic, or None."""
        for pattern, found in self._classes.items():
            if topic == pattern or (
                pattern.endswith("*") and topic.startswith(pattern[:-1])
            ):
                return found
        return None


OWN_CHANNELS: dict[str, type[Channel]] = {"room:*": RoomChannel}


@cache
def patterns() -> Patterns:
    """Beam's own channels, then those of the project."""
    added = {name: import_string(path) for name, path in conf().channels.items()}
    return Patterns(OWN_CHANNELS | added)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "BEAM":
        patterns.cache_clear()


setting_changed.connect(_forget)
