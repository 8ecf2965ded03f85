"""Delays the replies to the failures of one client.

Many clients join again at once after a failure. Each failure in a row is answered
later, so that a client that always fails does little harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.protocol.frame import Frame
from rooms.protocol.reasons import Reason
from rooms.protocol.ref_limits import is_short_frame
from rooms.protocol.reply_delay import Streak, refusal_delay

# Reasons that the client did not cause.
NOT_ITS_FAULT = frozenset(
    {Reason.UNAVAILABLE, Reason.SHUTTING_DOWN, Reason.RATE_LIMITED}
)
MOST_DELAYED = 100
"""Replies of one client that are delayed at a time; more are sent at once."""


class FailureReplies:
    """The recent failures of one client. `delayed`: replies to be sent later."""

    __slots__ = ("_streak", "_unauthorized", "delayed")

    def __init__(self) -> None:
        self.delayed = 0
        self._unauthorized = 0
        self._streak = Streak()

    def delay(self, reason: str) -> float:
        """Count a failed join or channel; the seconds that its reply is delayed."""
        if reason in NOT_ITS_FAULT:
            return 0.0
        now = time.monotonic()
        self._streak.note(now)
        if reason == Reason.UNAUTHORIZED:
            self._unauthorized += 1
            return refusal_delay(self._unauthorized)
        return self._streak.delay(conf().failures_before_delay, now)

    def token_accepted(self) -> None:
        """A join was accepted: the next bad token is the first again."""
        self._unauthorized = 0

    def schedule(
        self, reply: Frame, delay: float, kind: str, send: Callable[[Frame], None]
    ) -> None:
        """Send a reply after a delay; at once if it is large or many are delayed.

        `kind`: what `delayed` counts it as.
        """
        if not delay or self.delayed >= MOST_DELAYED or not is_short_frame(reply):
            send(reply)
            return
        self.delayed += 1
        metrics.DELAYED.count(kind)
        asyncio.get_running_loop().call_later(delay, self._send, reply, send)

    def _send(self, reply: Frame, send: Callable[[Frame], None]) -> None:
        self.delayed -= 1
        send(reply)
