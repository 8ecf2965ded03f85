"""Owns which entries one process holds: what `reconcile` puts back into Redis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple


class HeldEntry(NamedTuple):
    """An entry: its key, the digest of its group, and its JSON."""

    key: str
    group: str
    body: str


class HeldEntries:
    """What one process holds, by topic and ref.

    `leaving`: refs in their grace period, which this process ends. They are kept in
    Redis alone until then, and lost with it.
    `replaced`: refs whose update is under way, with their new refs. A caller that
    stops waiting for the update knows only the old ref.
    `uncertain`: topics where a call failed or found less than is held: Redis may
    have done it, or not, or in part.
    """

    def __init__(self) -> None:
        self._held: dict[str, dict[str, HeldEntry]] = {}
        self._leaving: dict[str, set[str]] = {}
        self.replaced: dict[str, str] = {}
        self.uncertain: set[str] = set()

    def get(self, topic: str, ref: str) -> HeldEntry | None:
        """An entry that is held; None if it is not."""
        return self._held.get(topic, {}).get(ref)

    def add(self, topic: str, ref: str, entry: HeldEntry) -> bool:
        """Hold an entry. Whether it is the only one of its topic."""
        is_first = topic not in self._held
        if is_first:
            self._held[topic] = {}
        self._held[topic][ref] = entry
        return is_first

    def remove(self, topic: str, ref: str) -> None:
        """Hold an entry no longer; one that is not held is no error."""
        held = self._held.get(topic, {})
        held.pop(ref, None)
        if not held:
            self._held.pop(topic, None)

    def begin_grace(self, topic: str, ref: str) -> None:
        """The grace period of an entry begins."""
        self.remove(topic, ref)
        self._leaving.setdefault(topic, set()).add(ref)

    def end_grace(self, topic: str, ref: str) -> None:
        """The grace period of an entry ended."""
        leaving = self._leaving.get(topic, set())
        leaving.discard(ref)
        if not leaving:
            self._leaving.pop(topic, None)

    def has(self, topic: str) -> bool:
        """Whether this process holds entries in a topic, or may."""
        holds = (self._held, self._leaving, self.uncertain)
        return any(topic in each for each in holds)

    def topics(self) -> Sequence[str]:
        """The topics in which this process holds entries, or may."""
        return [*self._held.keys() | self._leaving.keys() | self.uncertain]

    def script_args(self, topic: str) -> list[Any]:
        """What `lua/reconcile.lua` takes: the number of entries, entries, leaving."""
        held = self._held.get(topic, {}).items()
        entries = [(ref, entry.group, entry.body) for ref, entry in held]
        ours = chain.from_iterable(entries)
        return [len(entries), *ours, *self._leaving.get(topic, ())]
