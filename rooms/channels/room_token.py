"""Owns the room token of one member: what it allows, until when, and its renewal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.auth import grants, verifier
from rooms.channels.results import Refused
from rooms.monitoring import client_log
from rooms.protocol.reasons import Reason
from rooms.protocol.ref_limits import is_short_ref
from rooms.protocol.removal_event import REMOVE
from rooms.protocol.reply_delay import LONGEST_DELAY, refusal_delay

if TYPE_CHECKING:
    from rooms.channels.channel import Channel

MOST_DELAYED: Final = 16
"""Replies to bad tokens that are delayed at a time in one channel."""

LONGEST_TIMER: Final = 24 * 3_600.0
"""Seconds; a timer of an event loop cannot be much longer."""


class RoomToken:
    """The room token of one member. `grant`: what it allows."""

    __slots__ = ("_channel", "_delayed", "_refused", "_timer", "grant")

    grant: grants.RoomGrant

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._timer: asyncio.TimerHandle | None = None
        # Bad tokens in a row, and replies to them that are still to be sent.
        self._refused = 0
        self._delayed = 0

    async def check(self, token: object) -> None:
        """Check a token for the room and user of the channel. Raises `Refused`."""
        channel = self._channel
        room_id = channel.topic.removeprefix("room:")
        try:
            self.grant = await verifier.authorize(
                token, room_id, channel.owner.identity
            )
        except grants.Unauthorized as error:
            # Why is logged; clients get it with `DEBUG=1` only.
            why = str(error)
            message = why if settings.DEBUG else ""
            raise Refused(Reason.UNAUTHORIZED, message, why=why) from None
        except grants.BackendUnavailable:
            raise Refused(Reason.UNAVAILABLE) from None

    async def renew(self, token: object, ref: Any) -> bool:
        """Take a new token: what it allows counts from now on.

        False: it is bad, and the message `ref` is answered here, each one in a row
        later; nothing waits for that. Raises `Refused` for other errors.
        """
        if self._delayed >= MOST_DELAYED:
            raise Refused(Reason.RATE_LIMITED, wait=LONGEST_DELAY)
        try:
            await self.check(token)
        except Refused as refusal:
            if refusal.reason != Reason.UNAUTHORIZED:
                raise
            self._refuse(ref, refusal)
            return False
        self._refused = 0
        self.watch()
        return True

    def watch(self) -> None:
        """Notify the client when the token expires."""
        self.stop()
        if self.grant.expires is None or conf().token_grace < 0:
            return
        left = self.grant.expires + conf().token_leeway - time.time()
        self._after(left, self._on_expired)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        if seconds > LONGEST_TIMER:
            seconds, do = LONGEST_TIMER, self.watch
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, seconds), do)

    def _on_expired(self) -> None:
        metrics.TOKENS_EXPIRED.value += 1
        self._channel.push("token_expired", {"grace_seconds": conf().token_grace})
        self._after(conf().token_grace, self._on_grace_over)

    def _on_grace_over(self) -> None:
        self._channel.interrupted(REMOVE, {"reason": "token_expired"})

    def _refuse(self, ref: Any, refusal: Refused) -> None:
        self._refused += 1
        channel = self._channel
        user_id = channel.owner.identity.user_id
        client_log.token_refused(channel.topic, user_id, refusal.reason, refusal.why)
        delay = refusal_delay(self._refused)
        if not delay or not is_short_ref(ref):
            channel.refuse(ref, refusal)
            return
        self._delayed += 1
        loop = asyncio.get_running_loop()
        loop.call_later(delay, self._refuse_late, ref, refusal)

    def _refuse_late(self, ref: Any, refusal: Refused) -> None:
        self._delayed -= 1
        if not self._channel.stopped:
            self._channel.refuse(ref, refusal)
