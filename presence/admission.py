"""Decides whether a topic admits a key: bans, and limits, as of a full topic. Pure.

`presence.local_tracker` calls this in the step that adds an entry. In Redis,
`presence/lua/track.lua` makes the same checks in the same order. `NotAdmitted` says
why a key is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

CLOSED: Final = "closed"
BLOCKED: Final = "blocked"
FULL: Final = "full"
GROUP_FULL: Final = "group_full"
TOO_LARGE: Final = "too_large"

# Bans of single groups and keys in one topic. Closing a topic is always possible.
MAX_BANS: Final = 10_000


class NotAdmitted(Exception):
    """A topic refuses a key.

    `reason`: `CLOSED`, `BLOCKED`, `FULL`, `GROUP_FULL` or `TOO_LARGE`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyBans(Exception):
    """A topic has `MAX_BANS` bans of single groups and keys already."""


class Limits(NamedTuple):
    """How much a topic may hold; 0: without limit.

    `entries`: the entries of all groups. `of_group`: the entries of one group.
    `size`: the bytes of all entries, as JSON.
    """

    entries: int = 0
    of_group: int = 0
    size: int = 0


UNLIMITED: Final = Limits()


class Ban(NamedTuple):
    """Whom a topic refuses: every key, the keys of one group, or one key.

    `kind`: `closed`, `group` or `key`. `name`: the group or the key.
    Its text is stored in Redis: `closed`, `group:NAME` or `key:NAME`.
    """

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return CLOSED if self.kind == CLOSED else f"{self.kind}:{self.name}"


EVERYONE: Final = Ban(CLOSED)
"""The ban of every key: the topic is closed."""


def group(name: str) -> Ban:
    """The ban of all keys of a group."""
    return Ban("group", name)


def key(name: str) -> Ban:
    """The ban of one key."""
    return Ban("key", name)


def check_bans(bans: Mapping[Ban, float], now: float, key_: str, group_: str) -> None:
    """Raises `NotAdmitted` if the topic is closed, or the key or its group banned.

    `bans`: of the topic, with their ends by the clock of `now`.
    """
    if bans.get(EVERYONE, 0.0) > now:
        raise NotAdmitted(CLOSED)
    if bans.get(group(group_), 0.0) > now or bans.get(key(key_), 0.0) > now:
        raise NotAdmitted(BLOCKED)


class Counts:
    """What a topic has, as `Limits` count it."""

    def __init__(self) -> None:
        self.by_group: Counter[str] = Counter()
        self.entries = self.size = 0

    def add(self, group: str, size: int, sign: int = 1) -> None:
        """Count an entry of a group with its bytes. `sign`: -1 if it was removed."""
        self.entries += sign
        self.size += sign * size
        self.by_group[group] += sign
        if not self.by_group[group]:
            del self.by_group[group]

    def check(self, group: str, size: int, limits: Limits) -> None:
        """Raises `NotAdmitted` if the limits do not allow one more entry."""
        if 0 < limits.entries <= self.entries:
            raise NotAdmitted(FULL)
        if 0 < limits.of_group <= self.by_group[group]:
            raise NotAdmitted(GROUP_FULL)
        if 0 < limits.size < self.size + size:
            raise NotAdmitted(TOO_LARGE)

    def check_growth(self, growth: int, limits: Limits) -> None:
        """Raises `NotAdmitted` if an entry may not grow by so many bytes."""
        if growth > 0 and 0 < limits.size < self.size + growth:
            raise NotAdmitted(TOO_LARGE)
