"""Owns the entries of this process.

`RedisTracker.reconcile` makes Redis agree with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple


class OwnEntry(NamedTuple):
    """An entry as `reconcile` adds it: key, digest of the group, JSON."""

    key: str
    group: str
    body: str


class OwnEntries:
    """The entries that this process holds, by topic and ref.

    `replaced`: old ref -> new ref, while an update is under way. A caller that
    stops waiting for the update knows only the old ref.
    `uncertain`: topics in which a call failed or found less than is held. Redis may
    have applied the call, in part, or not at all.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[str, OwnEntry]] = {}
        # Refs in a grace period that this process will end. Until then only Redis
        # has the entry: a Redis that loses its data loses it.
        self._leaving: dict[str, set[str]] = {}
        self.replaced: dict[str, str] = {}
        self.uncertain: set[str] = set()

    def get(self, topic: str, ref: str) -> OwnEntry | None:
        """The entry with this ref; None if it is not held."""
        return self._held.get(topic, {}).get(ref)

    def add(self, topic: str, ref: str, entry: OwnEntry) -> bool:
        """Hold an entry. Returns whether it is the first of its topic."""
        is_first = topic not in self._held
        if is_first:
            self._held[topic] = {}
        self._held[topic][ref] = entry
        return is_first

    def remove(self, topic: str, ref: str) -> None:
        """Stop holding an entry. A ref that is not held is no error."""
        held = self._held.get(topic, {})
        held.pop(ref, None)
        if not held:
            self._held.pop(topic, None)

    def begin_grace(self, topic: str, ref: str) -> None:
        """Stop holding an entry, and note that this process ends its grace period."""
        self.remove(topic, ref)
        self._leaving.setdefault(topic, set()).add(ref)

    def end_grace(self, topic: str, ref: str) -> None:
        """Note that the grace period of an entry ended."""
        leaving = self._leaving.get(topic, set())
        leaving.discard(ref)
        if not leaving:
            self._leaving.pop(topic, None)

    def has(self, topic: str) -> bool:
        """Whether the topic is one of `topics`."""
        holds = (self._held, self._leaving, self.uncertain)
        return any(topic in each for each in holds)

    def topics(self) -> Sequence[str]:
        """The topics in which this process has, or may have, entries in Redis."""
        return [*self._held.keys() | self._leaving.keys() | self.uncertain]

    def script_args(self, topic: str) -> list[Any]:
        """The arguments of `lua/reconcile.lua` from the number of entries on."""
        held = self._held.get(topic, {}).items()
        entries = [(ref, entry.group, entry.body) for ref, entry in held]
        ours = chain.from_iterable(entries)
        return [len(entries), *ours, *self._leaving.get(topic, ())]
