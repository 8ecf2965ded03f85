"""Owns `RoomChannel`: what the topic of a room does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson
from django.conf import settings

from beam.config.conf import conf
from beam.redis import Unavailable
from beam.telemetry import metrics
from presence import admission
from presence.factory import tracker
from presence.state import Diff, Snapshot, State, metas_of
from presence.tracker import NotTracked
from rooms.auth import grants, verifier
from rooms.channels.channel import Channel
from rooms.channels.results import Refused
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.fanout import release
from rooms.messaging.grace_period import grace_periods, untrack
from rooms.messaging.hub import hub
from rooms.messaging.inbox import Work
from rooms.messaging.presence_diffs import diffs
from rooms.monitoring import client_log
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.event import Event
from rooms.protocol.event_names import RESERVED_RULE, is_reserved
from rooms.protocol.identifiers import (
    MAX_SESSION_ID,
    check_characters,
    labels,
    room_topic,
)
from rooms.protocol.messages import Reason
from rooms.protocol.rate_limit import LONGEST_DELAY, refusal_delay
from rooms.protocol.removal import REMOVE
from rooms.protocol.size_limits import is_short_ref
from rooms.records.room_policy import Policy, policy_for
from rooms.records.room_rows import registry
from rooms.runtime import runtime

MAX_DEPARTED = 16
# Answers to bad tokens that may wait in one channel.
MAX_LATE = 16
LONGEST_TIMER = 24 * 3_600.0
SHUT = {
    admission.CLOSED: Reason.ROOM_CLOSED,
    admission.BLOCKED: Reason.BLOCKED,
    admission.FULL: Reason.ROOM_FULL,
    admission.GROUP_FULL: Reason.TOO_MANY_SESSIONS,
    admission.TOO_LARGE: Reason.PRESENCE_FULL,
}


class RoomChannel(Channel):
    """A room: messages to all or to some, and who is present."""

    session: str
    grant: grants.RoomGrant
    meta: dict[str, Any]
    online_at: str
    _ref: str | None = None
    _diff: Diff | None = None
    _own: State
    _publisher: publisher.Publisher
    _sent: publisher.Sent | None = None
    _unanswered: list[Any]
    _expiry: asyncio.TimerHandle | None = None
    _refused = 0
    intercepts = urgent = frozenset({REMOVE})
    # Of a removal that came during the join: its reply comes first.
    _removal: dict[str, Any] | None = None
    # Answers to bad tokens that are still to be sent.
    _late = 0

    def __init_subclass__(cls) -> None:
        """A subclass that intercepts events of its own can still be removed."""
        super().__init_subclass__()
        cls.intercepts |= RoomChannel.urgent
        cls.urgent |= RoomChannel.urgent

    async def join(self, payload: Any) -> Any:
        room_id = self.topic.removeprefix("room:")
        self._check_room_id(room_id)
        session_id, meta = _join_fields(payload)
        user_id = self.owner.identity.user_id
        try:
            token = payload["room_token"]
            self.grant = await verifier.authorize(token, room_id, self.owner.identity)
        except grants.Unauthorized as error:
            raise _unauthorized(error) from None
        except grants.BackendUnavailable:
            raise Refused(Reason.UNAVAILABLE) from None
        await runtime().closed_rooms_known()
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
        self._publisher = publisher.publisher()
        try:
            await self.subscribe()
            if "presence" not in self.grant.can:
                user_id = self.owner.identity.user_id
                await tracker().admit(self.topic, self.session, user_id)
                before = await tracker().list(self.topic)
            else:
                before = await self._track(self._own_meta(meta))
        except admission.NotAdmitted as refusal:
            raise Refused(SHUT[refusal.reason]) from None
        except (Unavailable, NotTracked):
            # Not tracked: another took the entry that was to be taken over.
            raise Refused(Reason.UNAVAILABLE) from None
        self.since = before.version
        self._before = before.state

    async def _track(self, meta: dict[str, Any]) -> Snapshot:
        """Be present; the state before. Who comes back in time changes nothing."""
        user_id, limits = self.owner.identity.user_id, self._policy().limits()
        self._ref, self._diff, before = await tracker().track(
            self.topic, self.session, meta, user_id, limits
        )
        self._own = self._diff.joins
        if self._removal is None and not self._diff:
            await self._take_over(meta, before)
        if self._removal is not None or self.stopped:
            self._withdraw()
        return before

    async def _take_over(self, meta: dict[str, Any], before: Snapshot) -> None:
        """Go on as the entry that was there; tell what is different about it."""
        [(key, known)] = [
            pair for pair in metas_of(before.state) if pair[1]["phx_ref"] == self._ref
        ]
        self.online_at = known["online_at"]
        self._own = {key: {"metas": [known]}}
        meta = meta | {"online_at": self.online_at}
        if self._ref and any(known.get(name) != meta[name] for name in meta):
            self._ref, self._diff = await tracker().update(
                self.topic, self._ref, meta, self._policy().limits()
            )
            self._own = self._diff.joins

    def _policy(self) -> Policy:
        return policy_for(self.topic.removeprefix("room:"))

    def interrupted(self, event: str, payload: Any) -> None:
        """Remove the member: the client gets the reason, and the channel ends.

        During a join the member leaves presence at once, and the client gets
        the rest behind the reply.
        """
        if self.held is not None:
            self._removal = payload
            self._withdraw()
            return
        self.push("beam_removed", payload)
        self.stop()

    def _withdraw(self) -> None:
        """Leave presence; the channel goes on."""
        if self._ref is None:
            return
        own, self._ref = self._ref, None
        self._announce()
        background_tasks().spawn(untrack(self.topic, [own]))

    def _announce(self) -> None:
        """Tell the topic that the member joined, once.

        Also for one that leaves at once: a change that is never published is
        taken for one that was lost.
        """
        if self._diff is not None:
            diffs().publish(self.topic, self._diff)
            self._diff = None

    def _own_meta(self, meta: dict[str, Any]) -> dict[str, Any]:
        return meta | self.grant.meta | {"online_at": self.online_at}

    async def joined(self) -> None:
        self.push_state(self._before)
        del self._before
        hub().knows(self.topic, self.since)
        self._forget_former_self()
        release(self)
        if self._removal is not None:
            self.interrupted(REMOVE, self._removal)
        if self.stopped:
            return
        self._announce()
        self._watch_token()
        registry.joined(self.topic.removeprefix("room:"))

    def _watch_token(self) -> None:
        """Wake up when the room token has run out."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.grant.expires is None or conf().token_grace < 0:
            return
        left = self.grant.expires + conf().token_leeway - time.time()
        self._after(left, self._on_expired)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        """Once: one timer a member."""
        # A loop's timer has its limits; whoever stays so long looks again.
        if seconds > LONGEST_TIMER:
            seconds, do = LONGEST_TIMER, self._watch_token
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max(0.0, seconds), do)

    def _on_expired(self) -> None:
        metrics.TOKENS_EXPIRED.value += 1
        self.push("token_expired", {"grace_seconds": conf().token_grace})
        self._after(conf().token_grace, self._on_overdue)

    def _on_overdue(self) -> None:
        self.interrupted(REMOVE, {"reason": "token_expired"})

    async def _renew_token(self, payload: dict[str, Any], ref: Any) -> None:
        """A new token for the same room and user: its rights from now on."""
        if self._late >= MAX_LATE:
            raise Refused(Reason.RATE_LIMITED, wait=LONGEST_DELAY)
        token = payload.get("access_token")
        room_id, identity = self.topic.removeprefix("room:"), self.owner.identity
        try:
            self.grant = await verifier.authorize(token, room_id, identity)
        except grants.Unauthorized as error:
            self._refuse_token(ref, _unauthorized(error))
            return
        except grants.BackendUnavailable:
            raise Refused(Reason.UNAVAILABLE) from None
        self._refused = 0
        if "presence" not in self.grant.can:
            self._withdraw()
        self._watch_token()
        self.reply(ref)

    def _refuse_token(self, ref: Any, refusal: Refused) -> None:
        """Answer a bad token: each one in a row later, and nothing waits for it."""
        self._refused += 1
        user_id = self.owner.identity.user_id
        client_log.token_refused(self.topic, user_id, refusal.reason, refusal.why)
        delay = refusal_delay(self._refused)
        if not delay or not is_short_ref(ref):
            self.refuse(ref, refusal)
            return
        self._late += 1
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._refuse_late, ref, refusal)

    def _refuse_late(self, ref: Any, refusal: Refused) -> None:
        self._late -= 1
        if not self.stopped:
            self.refuse(ref, refusal)

    def _note_departure(self) -> None:
        """For whoever rejoins at once; the oldest are of no use any more."""
        departed = self.owner.departed
        departed.pop(self.topic, None)
        departed[self.topic] = self._own
        if len(departed) > MAX_DEPARTED:
            del departed[next(iter(departed))]

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
        if event == "access_token":
            return self._renew_token(payload, ref)
        if is_reserved(event):
            raise Refused(Reason.RESERVED_EVENT, RESERVED_RULE)
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
            payload=_signed(payload, source),
            skip=self.id,
            to=to,
        )
        activity_buffer.note_message(self.topic)
        sent = self._publisher.publish(message)
        if sent is None:
            self.reply(ref)
        elif sent is self._sent:
            self._unanswered.append(ref)
        else:
            self._sent, self._unanswered = sent, [ref]
            sent.add_done_callback(partial(self._relayed, self._unanswered))

    def leave(self, done: Work, size: int) -> None:
        """The answers that are still under way come before the leave's."""
        sent = self._sent
        if sent is None or sent.done():
            super().leave(done, size)
        else:
            super().leave(partial(_after, sent, done), size)

    def _relayed(self, refs: list[Any], sent: publisher.Sent) -> None:
        if self.stopped or sent.cancelled():
            return
        for ref in refs:
            if sent.exception() is None:
                self.reply(ref)
            else:
                self.refuse(ref, Refused(Reason.UNAVAILABLE))

    async def _update(self, payload: dict[str, Any], ref: Any) -> None:
        if "presence" not in self.grant.can or self._ref is None:
            raise Refused(Reason.FORBIDDEN, "the room token does not allow presence")
        meta = _client_meta(payload.get("meta"))
        try:
            self._ref, diff = await tracker().update(
                self.topic, self._ref, self._own_meta(meta), self._policy().limits()
            )
            self._own = diff.joins
            diffs().publish(self.topic, diff)
        except admission.NotAdmitted as refusal:
            raise Refused(SHUT[refusal.reason]) from None
        except (Unavailable, NotTracked):
            raise Refused(Reason.UNAVAILABLE) from None
        self.reply(ref)

    def cleanup(self, *, lost: bool) -> asyncio.Task[Any] | None:
        if self._expiry is not None:
            self._expiry.cancel()
        if self._ref is None:
            return None
        ref, self._ref = self._ref, None
        self._announce()
        grace = self._policy().presence_grace
        if lost and grace > 0:
            return background_tasks().spawn(
                grace_periods().begin(self.topic, ref, grace)
            )
        self._note_departure()
        return background_tasks().spawn(untrack(self.topic, [ref]))


def _signed(payload: dict[str, Any], source: dict[str, str]) -> dict[str, Any]:
    """The payload with its sender, whatever the client said of that.

    Swift's and Kotlin's Phoenix clients show an object `response` in place of the
    payload: it names the sender, too.
    """
    signed = payload | {"from": source}
    if type(inner := payload.get("response")) is dict:
        signed["response"] = inner | {"from": source}
    return signed


def _unauthorized(error: grants.Unauthorized) -> Refused:
    """A bad token. Why is logged; clients are told with `DEBUG=1` only."""
    why = str(error)
    return Refused(Reason.UNAUTHORIZED, why if settings.DEBUG else "", why=why)


async def _after(sent: publisher.Sent, done: Work) -> None:
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
    try:
        check_characters(session_id, "session_id")
    except ValueError as error:
        raise Refused(Reason.INVALID_PAYLOAD, str(error)) from None
    return session_id, _client_meta(payload.get("meta", {}))


def _client_meta(meta: Any) -> dict[str, Any]:
    if type(meta) is not dict:
        raise Refused(Reason.INVALID_PAYLOAD, "meta is an object")
    try:
        size = len(orjson.dumps(meta))
    except TypeError:
        message = "meta has an integer over 64 bits or more than 254 levels"
        raise Refused(Reason.INVALID_PAYLOAD, message) from None
    if size > conf().max_meta_bytes:
        message = f"meta has at most {conf().max_meta_bytes} bytes"
        raise Refused(Reason.INVALID_PAYLOAD, message)
    return meta


def addressees(payload: dict[str, Any]) -> tuple[str, ...]:
    """The labels that a direct message's `to` names.

    Raises `Refused` for a `to` that is missing or has an entry that names
    nobody: nothing is relayed then.
    """
    if "to" not in payload:
        message = 'say "broadcast": true, or "to": [{"session"} or {"user_id"}, ...]'
        raise Refused(Reason.INVALID_PAYLOAD, message)
    try:
        return labels(payload["to"], conf().max_recipients)
    except ValueError as error:
        raise Refused(Reason.INVALID_PAYLOAD, f'"to": {error}') from None
