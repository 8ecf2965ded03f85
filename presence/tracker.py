"""The interface of a tracker, the store of presence, and the results of its calls.

There are two: `presence.local_tracker.LocalTracker` for one process, and
`presence.redis_tracker.RedisTracker` for many. `tests/contracts/test_tracker.py` tests
both. A tracker returns diffs and never sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from presence.admission import UNLIMITED, Ban, Limits
from presence.state import Diff, Meta, Snapshot

ALONE: Final = "local"
"""The id of the only process, when presence is in memory."""


class NotTracked(LookupError):
    """No entry has this ref: it was removed, or never existed."""


class Tracked(NamedTuple):
    """An entry was added, or taken over.

    `ref`: its `phx_ref`. `diff`: what changed. `before`: the state before the change.
    An entry of the key that is in its grace period is taken over: nothing changes,
    `diff` is empty, and `before` contains the entry.
    """

    ref: str
    diff: Diff
    before: Snapshot


class Updated(NamedTuple):
    """The meta of an entry was replaced: its new ref, and what changed."""

    ref: str
    diff: Diff


class Left(NamedTuple):
    """The grace period of an entry began.

    `ref`: the ref to `expire`, which differs from the given one if an update was
    under way. `banned`: the key may not enter the topic again, so there is no
    reason to wait.
    """

    ref: str
    banned: bool = False


class Size(NamedTuple):
    """How many entries a topic has, and how many groups they belong to."""

    entries: int
    groups: int


class Tracker(Protocol):
    """What every tracker promises.

    Each call is atomic. The changes of a topic are numbered in the order in which
    they happen. The metas of a key are listed oldest first. Every call may raise
    `beam.redis.Unavailable`.
    """

    async def track(
        self,
        topic: str,
        key: str,
        meta: Meta,
        group: str = "",
        limits: Limits = UNLIMITED,
    ) -> Tracked:
        """Add an entry, and read the state before it in the same step.

        `group`: what entries are counted by, in addition to their number. Raises
        `NotAdmitted` if the key is banned or the topic has as much as `limits`
        allow. Limits do not apply to an entry that is taken over.
        """

    async def update(
        self, topic: str, ref: str, meta: Meta, limits: Limits = UNLIMITED
    ) -> Updated:
        """Replace the meta of an entry.

        Raises `NotTracked` if there is no such entry, and `NotAdmitted` if the topic
        would grow above `limits.size`. In both cases nothing changes.
        """

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        """Remove entries. Refs that do not exist are no error."""

    async def leave(self, topic: str, ref: str) -> Left:
        """Begin an entry's grace period: the next `track` of its key takes it over."""

    async def expire(self, topic: str, ref: str) -> Diff:
        """End an entry's grace period: remove it, unless it was taken over."""

    async def end_grace(self, topic: str, ban: Ban) -> Diff:
        """Remove the entries in their grace period whose keys `ban` names."""

    async def list(self, topic: str) -> Snapshot:
        """The state of a topic, and its version."""

    async def sizes(self, topics: Sequence[str]) -> Sequence[Size]:
        """The sizes of topics. Does not read their entries."""

    async def owners(self, topic: str) -> dict[str, str]:
        """The id of the process that holds an entry, by the ref of the entry."""

    async def admit(self, topic: str, key: str, group: str) -> None:
        """Check a key that enters without an entry. Raises `NotAdmitted`."""

    async def ban(self, topic: str, ban: Ban, seconds: float | None = None) -> None:
        """Refuse keys for some seconds; without `seconds`, until `unban`.

        Raises `TooManyBans` if the topic has `MAX_BANS` others. `EVERYONE` is always
        possible.
        """

    async def unban(self, topic: str, ban: Ban) -> None:
        """Lift a ban. A ban that does not exist is no error."""

    async def is_banned(self, topic: str, ban: Ban) -> bool:
        """Whether exactly this ban is in force."""
