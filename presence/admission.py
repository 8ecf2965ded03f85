"""Bans, limits, and the reasons for which a topic refuses a key. Pure.

A topic refuses a key that is banned, and a key for which it has no room left. The
trackers apply both in the step that adds an entry.
"""

from __future__ import annotations

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
