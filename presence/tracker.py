"""Owns who is present: track, update, untrack and list, each with its diff.

Two back ends behind one interface, held to one contract by
`tests/contracts/test_tracker.py`: `presence.local_tracker.LocalTracker` in process,
and `presence.redis_tracker.RedisTracker` for many processes. A tracker returns diffs
and never sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from presence.admission import UNLIMITED, Ban, Limits
from presence.state import Diff, Meta, Snapshot

ALONE: Final = "local"
"""The id of a process that shares nothing."""


class NotTracked(LookupError):
    """No entry has this ref: it was untracked, or never there."""


class Tracked(NamedTuple):
    """An entry is there: its ref, what changed, and the state before.

    Where the key was in its grace period its entry was taken over: nothing
    changed, `diff` is empty, and `before` contains it.
    """

    ref: str
    diff: Diff
    before: Snapshot


class Updated(NamedTuple):
    """An entry was replaced: its new ref, and what changed."""

    ref: str
    diff: Diff


class Left(NamedTuple):
    """The grace period of an entry began: the ref to `expire`.

    It is another ref if an update was under way. `banned`: its key may not
    enter any more, so that there is nothing to wait for.
    """

    ref: str
    banned: bool = False


class Size(NamedTuple):
    """How many entries a topic has, and of how many groups."""

    entries: int
    groups: int


class Tracker(Protocol):
    """What every back end promises.

    Each call is atomic, and the changes of one topic are numbered in the order
    in which they happen. Metas of a key are listed oldest first. A Redis that
    is away raises `beam.redis.RedisError`.
    """

    async def track(
        self,
        topic: str,
        key: str,
        meta: Meta,
        group: str = "",
        limits: Limits = UNLIMITED,
    ) -> Tracked:
        """Add an entry; the state before it is read in the same step.

        `group`: what entries are counted by, in addition to their number. Raises
        `NotAdmitted` if the key may not enter, or if the topic has as much as `limits`
        allow; an entry that is taken over is not limited.
        """

    async def update(
        self, topic: str, ref: str, meta: Meta, limits: Limits = UNLIMITED
    ) -> Updated:
        """Replace an entry's meta.

        Raises `NotTracked` if it is gone, and `NotAdmitted` if the topic would grow
        above `limits.size`: then nothing changed.
        """

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        """Take entries away; refs that are gone are no error."""

    async def leave(self, topic: str, ref: str) -> Left:
        """Begin an entry's grace period: the next of its key takes it over."""

    async def expire(self, topic: str, ref: str) -> Diff:
        """End an entry's grace period: it goes, unless it was taken over."""

    async def evict(self, topic: str, ban: Ban) -> Diff:
        """End the grace periods of everybody, a group or a key, as `ban` says."""

    async def list(self, topic: str) -> Snapshot:
        """Everyone who is present, and the version of this state."""

    async def sizes(self, topics: Sequence[str]) -> Sequence[Size]:
        """The sizes of topics; reads no entries."""

    async def owners(self, topic: str) -> dict[str, str]:
        """The id of the process that holds each entry, by ref."""

    async def admit(self, topic: str, key: str, group: str) -> None:
        """For who enters without being present. Raises `NotAdmitted`."""

    async def ban(self, topic: str, ban: Ban, seconds: float | None = None) -> None:
        """Let somebody in no more: for a time, or until `unban`.

        Raises `TooManyBans` if the topic has `MAX_BANS` already.
        """

    async def unban(self, topic: str, ban: Ban) -> None:
        """Let somebody in again; who was let in is no error."""

    async def is_banned(self, topic: str, ban: Ban) -> bool:
        """Whether it is shut for just that."""
