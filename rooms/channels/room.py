"""`RoomChannel`: what the topic of a room does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Any, Final

from beam.redis import Unavailable
from presence import admission
from presence.state import Diff, State
from presence.tracker import NotTracked
from rooms.channels.channel import Channel
from rooms.channels.connection_interface import ConnectionInterface
from rooms.channels.results import Refused
from rooms.channels.room_payloads import addressees, client_meta, join_fields, signed
from rooms.channels.room_presence import RoomPresence
from rooms.channels.room_token import RoomToken
from rooms.messaging import publisher
from rooms.messaging.channel_queue import Work
from rooms.messaging.fanout import release
from rooms.messaging.hub import hub
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.event import Event
from rooms.protocol.event_names import RESERVED_RULE, is_reserved
from rooms.protocol.frame import Frame
from rooms.protocol.identifiers import room_topic
from rooms.protocol.reasons import Reason
from rooms.protocol.removal_event import REMOVE
from rooms.records.room_policy import Policy, policy_for
from rooms.records.room_rows import room_rows
from rooms.runtime import runtime

REASONS: Final = {
    admission.CLOSED: Reason.ROOM_CLOSED,
    admission.BLOCKED: Reason.BLOCKED,
    admission.FULL: Reason.ROOM_FULL,
    admission.GROUP_FULL: Reason.TOO_MANY_SESSIONS,
    admission.TOO_LARGE: Reason.PRESENCE_FULL,
}
"""Why the tracker did not admit a member, as clients get it."""


class RoomChannel(Channel):
    """A room: messages to all or to some, and who is present.

    `session`: `USER_ID:SESSION_ID` of the member.
    """

    session: str
    intercepts = urgent = frozenset({REMOVE})
    # The presence before the join, until it is sent.
    _before: State
    _publisher: publisher.Publisher
    # The last publish that is not done, and the refs that its end answers.
    _sent: publisher.Sent | None = None
    _unanswered: list[Any]
    # The payload of a removal that came during the join: the reply comes first.
    _removal: dict[str, Any] | None = None

    def __init_subclass__(cls) -> None:
        """A subclass that intercepts events of its own can still be removed."""
        super().__init_subclass__()
        cls.intercepts |= RoomChannel.urgent
        cls.urgent |= RoomChannel.urgent

    def __init__(self, topic: str, frame: Frame, owner: ConnectionInterface) -> None:
        super().__init__(topic, frame, owner)
        self.token = RoomToken(self)
        self.presence = RoomPresence(topic)

    async def join(self, payload: Any) -> Any:
        self._check_room_id()
        session_id, meta = join_fields(payload)
        user_id = self.owner.identity.user_id
        await self.token.check(payload["room_token"])
        await runtime().closed_rooms_known()
        self.session = f"{user_id}:{session_id}"
        self.labels = (f"session:{self.session}", f"user:{user_id}")
        await self._enter(user_id, meta)
        return {}

    def _check_room_id(self) -> None:
        try:
            room_topic(self._room_id)
        except ValueError as error:
            raise Refused(Reason.INVALID_ROOM_ID, str(error)) from None

    @property
    def _room_id(self) -> str:
        return self.topic.removeprefix("room:")

    async def _enter(self, user_id: str, meta: dict[str, Any]) -> None:
        """Subscribe first, then read: no change is missed in between."""
        self._publisher = publisher.publisher()
        grant, limits = self.token.grant, self._policy().limits()
        try:
            await self.subscribe()
            if "presence" in grant.can:
                before = await self.presence.track(
                    self.session, user_id, meta | grant.meta, limits
                )
            else:
                before = await self.presence.admit(self.session, user_id)
        except admission.NotAdmitted as refusal:
            raise Refused(REASONS[refusal.reason]) from None
        except (Unavailable, NotTracked):
            # Not tracked: another session took the entry that was to be taken over.
            raise Refused(Reason.UNAVAILABLE) from None
        self.since = before.version
        self._before = before.state

    def _policy(self) -> Policy:
        return policy_for(self._room_id)

    async def joined(self) -> None:
        self.push_state(self._before)
        del self._before
        hub().note_state(self.topic, self.since)
        self._push_own_leave()
        release(self)
        if self._removal is not None:
            self.interrupted(REMOVE, self._removal)
        if self.stopped:
            return
        self.presence.announce()
        self.token.watch()
        room_rows.joined(self._room_id)

    def _push_own_leave(self) -> None:
        """Remove the presence that this connection had here just before.

        A client that leaves and joins at once gives its new channel the join
        that was still on its way to the old one; the leave is in the new state
        already and would never come.
        """
        departed = self.owner.departed.pop(self.topic, None)
        if departed is not None:
            self.push("presence_diff", Diff(leaves=departed).payload())

    def interrupted(self, event: str, payload: Any) -> None:
        """Remove the member: the client gets the reason, and the channel ends.

        During a join the member leaves presence at once, and the client gets
        the rest behind the reply.
        """
        if self.held is not None:
            self._removal = payload
            self.presence.withdraw()
            return
        self.push("beam_removed", payload)
        self.stop()

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        if type(event) is not str or not event:
            raise Refused(Reason.INVALID_PAYLOAD, "the event name must be text")
        if type(payload) is not dict:
            raise Refused(Reason.INVALID_PAYLOAD, "the payload must be an object")
        if event == "presence_update":
            return self._update_presence(payload, ref)
        if event == "access_token":
            return self._renew_token(payload, ref)
        if is_reserved(event):
            raise Refused(Reason.RESERVED_EVENT, RESERVED_RULE)
        if "push" not in self.token.grant.can:
            raise Refused(Reason.FORBIDDEN, "the room token does not allow to push")
        self._relay(event, payload, ref)
        return None

    def _relay(self, event: str, payload: dict[str, Any], ref: Any) -> None:
        to = None if payload.get("broadcast") is True else addressees(payload)
        source = {"user_id": self.owner.identity.user_id, "session": self.session}
        message = Event(
            topic=self.topic,
            name=event,
            payload=signed(payload, source),
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
            sent.add_done_callback(partial(self._on_relayed, self._unanswered))

    def _on_relayed(self, refs: list[Any], sent: publisher.Sent) -> None:
        if self.stopped or sent.cancelled():
            return
        for ref in refs:
            if sent.exception() is None:
                self.reply(ref)
            else:
                self.refuse(ref, Refused(Reason.UNAVAILABLE))

    def leave(self, done: Work, size: int) -> None:
        """The answers to messages before it come before the answer to the leave."""
        sent = self._sent
        if sent is None or sent.done():
            super().leave(done, size)
        else:
            super().leave(partial(_after, sent, done), size)

    async def _renew_token(self, payload: dict[str, Any], ref: Any) -> None:
        if not await self.token.renew(payload.get("access_token"), ref):
            return
        if "presence" not in self.token.grant.can:
            self.presence.withdraw()
        self.reply(ref)

    async def _update_presence(self, payload: dict[str, Any], ref: Any) -> None:
        grant = self.token.grant
        if "presence" not in grant.can or not self.presence.is_tracked:
            raise Refused(Reason.FORBIDDEN, "the room token does not allow presence")
        meta = client_meta(payload.get("meta")) | grant.meta
        try:
            await self.presence.update(meta, self._policy().limits())
        except admission.NotAdmitted as refusal:
            raise Refused(REASONS[refusal.reason]) from None
        except (Unavailable, NotTracked):
            raise Refused(Reason.UNAVAILABLE) from None
        self.reply(ref)

    def cleanup(self, *, lost: bool) -> asyncio.Task[Any] | None:
        self.token.stop()
        if not self.presence.is_tracked:
            return self.presence.withdraw()
        grace = self._policy().presence_grace
        if lost and grace > 0:
            return self.presence.withdraw_later(grace)
        self.presence.keep_departed(self.owner.departed)
        return self.presence.withdraw()


async def _after(sent: publisher.Sent, done: Work) -> None:
    await asyncio.wait([sent])
    done()
