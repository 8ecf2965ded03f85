"""Owns the presence entry of one member of a room."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from presence import admission
from presence.factory import tracker
from presence.state import Diff, Snapshot, State, metas_of
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.grace_period import grace_periods, untrack
from rooms.messaging.presence_diffs import diffs

MOST_DEPARTED: Final = 16
"""Rooms of which a connection keeps the presence that it left with."""


class RoomPresence:
    """One member in the presence of its room, from its join to its leave.

    `own`: its entry, as the room was or will be notified. All methods that ask the
    tracker raise `NotAdmitted`, `NotTracked` and `beam.redis.Unavailable`.
    """

    __slots__ = ("_diff", "_is_over", "_online_at", "_ref", "_topic", "own")

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._ref: str | None = None
        self._online_at = ""
        # The join, until the room is notified.
        self._diff: Diff | None = None
        self._is_over = False
        self.own: State = {}

    @property
    def is_tracked(self) -> bool:
        """Whether the member has an entry."""
        return self._ref is not None

    async def admit(self, session: str, user_id: str) -> Snapshot:
        """Check that a member may enter that will have no entry; the state."""
        await tracker().admit(self._topic, session, user_id)
        return await tracker().list(self._topic)

    async def track(
        self, session: str, user_id: str, meta: dict[str, Any], limits: admission.Limits
    ) -> Snapshot:
        """Add the entry; the state before. `announce` notifies the room.

        A session that returns within its grace period takes over its entry.
        """
        self._online_at = str(int(time.time()))
        meta = meta | {"online_at": self._online_at}
        self._ref, self._diff, before = await tracker().track(
            self._topic, session, meta, user_id, limits
        )
        self.own = self._diff.joins
        if not self._is_over and not self._diff:
            await self._take_over(meta, before, limits)
        if self._is_over:
            self.withdraw()
        return before

    async def _take_over(
        self, meta: dict[str, Any], before: Snapshot, limits: admission.Limits
    ) -> None:
        """Continue as the entry that was there; change what differs."""
        [(key, known)] = [
            pair for pair in metas_of(before.state) if pair[1]["phx_ref"] == self._ref
        ]
        self._online_at = known["online_at"]
        self.own = {key: {"metas": [known]}}
        meta = meta | {"online_at": self._online_at}
        if self._ref and any(known.get(name) != meta[name] for name in meta):
            self._ref, self._diff = await tracker().update(
                self._topic, self._ref, meta, limits
            )
            self.own = self._diff.joins

    async def update(self, meta: dict[str, Any], limits: admission.Limits) -> None:
        """Replace the meta of the entry, and notify the room."""
        assert self._ref is not None  # noqa: S101 - `is_tracked`
        meta = meta | {"online_at": self._online_at}
        self._ref, diff = await tracker().update(self._topic, self._ref, meta, limits)
        self.own = diff.joins
        diffs().publish(self._topic, diff)

    def announce(self) -> None:
        """Notify the room that the member joined, once.

        Also if it leaves at once: a change that is never published is taken for
        one that was lost.
        """
        if self._diff is not None:
            diffs().publish(self._topic, self._diff)
            self._diff = None

    def withdraw(self) -> asyncio.Task[None] | None:
        """Remove the entry, now or as soon as `track` has added it."""
        ref = self._end()
        return None if ref is None else background_tasks().spawn(self._untrack(ref))

    def withdraw_later(self, grace: float) -> asyncio.Task[None] | None:
        """Remove the entry after `grace` seconds, unless its session returns."""
        ref = self._end()
        if ref is None:
            return None
        begun = grace_periods().begin(self._topic, ref, grace)
        return background_tasks().spawn(begun)

    def _end(self) -> str | None:
        """The ref of the entry, which is the caller's to remove."""
        self._is_over = True
        ref, self._ref = self._ref, None
        if ref is not None:
            self.announce()
        return ref

    async def _untrack(self, ref: str) -> None:
        await untrack(self._topic, [ref])

    def keep_departed(self, departed: dict[str, State]) -> None:
        """Keep the entry that was left, for a client that joins again at once.

        `departed`: those of the connection, by topic. The oldest are of no use.
        """
        departed.pop(self._topic, None)
        departed[self._topic] = self.own
        if len(departed) > MOST_DEPARTED:
            del departed[next(iter(departed))]
