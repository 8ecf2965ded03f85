"""Owns the words of who may enter a topic: closed, full, or shut for some. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

CLOSED: Final = "closed"
BLOCKED: Final = "blocked"
FULL: Final = "full"
GROUP_FULL: Final = "group_full"
TOO_LARGE: Final = "too_large"

# Of single groups and keys, in one topic. Closing it is always possible.
MAX_BANS: Final = 10_000

# As a score in Redis, and in milliseconds: for ever.
FOREVER: Final = 2**53 - 1


class NotAdmitted(Exception):
    """Somebody may not enter: `reason` is one of the words above."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyBans(Exception):
    """A topic has as many bans for single groups and keys as it may."""


class Limits(NamedTuple):
    """How much a topic may have; 0: any number.

    `entries`: of all, `of_group`: of one group, `size`: bytes of all entries.
    """

    entries: int = 0
    of_group: int = 0
    size: int = 0


UNLIMITED: Final = Limits()


class Ban(NamedTuple):
    """What a topic is shut for: everybody, all of a group, or one key.

    `name`: the group or key. As text in Redis: `closed`, `group:...`, `key:...`.
    """

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return CLOSED if self.kind == CLOSED else f"{self.kind}:{self.name}"


EVERYONE: Final = Ban(CLOSED)


def group(name: str) -> Ban:
    """All of a group."""
    return Ban("group", name)


def key(name: str) -> Ban:
    """One key."""
    return Ban("key", name)
