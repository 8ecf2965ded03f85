"""Owns the presence of one process, in memory: the tracker without Redis."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from presence import admission
from presence.admission import UNLIMITED, Ban, Counts, Limits, NotAdmitted
from presence.entry import body_of, new_ref
from presence.local_bans import LocalBans
from presence.state import Diff, Meta, Snapshot, state_of, with_refs
from presence.tracker import ALONE, Left, NotTracked, Size, Tracked, Updated


class _Entry(NamedTuple):
    key: str
    meta: Meta
    group: str
    size: int

    @classmethod
    def of(cls, key: str, meta: Meta, group: str) -> _Entry:
        return cls(key, meta, group, len(body_of(key, meta)))


class LocalTracker:
    """Presence of one process: see `presence.tracker.Tracker`."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, _Entry]] = {}
        self._counts: dict[str, Counts] = {}
        self._leaving: dict[str, dict[str, str]] = {}
        self._bans = LocalBans()
        self._version = time.time_ns() // 1_000

    async def track(
        self,
        topic: str,
        key: str,
        meta: Meta,
        group: str = "",
        limits: Limits = UNLIMITED,
    ) -> Tracked:
        self._bans.check(topic, key, group)
        before = await self.list(topic)
        if (ref := self._take_over(topic, key)) is not None:
            return Tracked(ref, Diff(version=before.version), before)
        ref = new_ref()
        entry = _Entry.of(key, with_refs(meta, ref), group)
        counts = self._counts.get(topic) or Counts()
        counts.check(group, entry.size, limits)
        self._add(topic, ref, entry)
        return Tracked(ref, Diff(_state([entry]), {}, self._next()), before)

    def _add(self, topic: str, ref: str, entry: _Entry) -> None:
        self._topics.setdefault(topic, {})[ref] = entry
        self._counts.setdefault(topic, Counts()).add(entry.group, entry.size)

    def _remove(self, topic: str, ref: str) -> _Entry:
        entry = self._topics[topic].pop(ref)
        self._stay(topic, ref)
        if self._topics[topic]:
            self._counts[topic].add(entry.group, entry.size, -1)
        else:
            del self._topics[topic], self._counts[topic]
        return entry

    def _take_over(self, topic: str, key: str) -> str | None:
        leaving = self._leaving.get(topic, {})
        ref = next((ref for ref, known in leaving.items() if known == key), None)
        if ref is not None:
            self._stay(topic, ref)
        return ref

    def _stay(self, topic: str, ref: str) -> None:
        if topic in self._leaving:
            self._leaving[topic].pop(ref, None)
            if not self._leaving[topic]:
                del self._leaving[topic]

    async def update(
        self, topic: str, ref: str, meta: Meta, limits: Limits = UNLIMITED
    ) -> Updated:
        if ref not in self._topics.get(topic, {}):
            raise NotTracked(ref)
        old, fresh = self._topics[topic][ref], new_ref()
        new = _Entry.of(old.key, with_refs(meta, fresh, ref), old.group)
        self._counts[topic].check_growth(new.size - old.size, limits)
        self._add(topic, fresh, new)
        self._remove(topic, ref)
        return Updated(fresh, Diff(_state([new]), _state([old]), self._next()))

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        gone = [
            self._remove(topic, ref)
            for ref in refs
            if ref in self._topics.get(topic, {})
        ]
        return Diff({}, _state(gone), self._next()) if gone else Diff()

    async def leave(self, topic: str, ref: str) -> Left:
        if (entry := self._topics.get(topic, {}).get(ref)) is None:
            return Left(ref)
        self._leaving.setdefault(topic, {})[ref] = entry.key
        try:
            self._bans.check(topic, entry.key, entry.group)
        except NotAdmitted:
            return Left(ref, banned=True)
        return Left(ref)

    async def expire(self, topic: str, ref: str) -> Diff:
        if ref not in self._leaving.get(topic, {}):
            return Diff()
        return await self.untrack(topic, [ref])

    async def end_grace(self, topic: str, ban: Ban) -> Diff:
        entries = self._topics.get(topic, {})
        refs = [
            ref
            for ref, key in self._leaving.get(topic, {}).items()
            if ban
            in (
                admission.EVERYONE,
                admission.group(entries[ref].group),
                admission.key(key),
            )
        ]
        return await self.untrack(topic, refs)

    async def list(self, topic: str) -> Snapshot:
        entries = self._topics.get(topic, {})
        return Snapshot(_state(entries.values()), self._version)

    async def sizes(self, topics: Sequence[str]) -> Sequence[Size]:
        counts = [self._counts.get(topic) or Counts() for topic in topics]
        return [Size(each.entries, len(each.by_group)) for each in counts]

    async def owners(self, topic: str) -> dict[str, str]:
        return dict.fromkeys(self._topics.get(topic, {}), ALONE)

    async def admit(self, topic: str, key: str, group: str) -> None:
        self._bans.check(topic, key, group)

    async def ban(self, topic: str, ban: Ban, seconds: float | None = None) -> None:
        self._bans.add(topic, ban, seconds)

    async def unban(self, topic: str, ban: Ban) -> None:
        self._bans.remove(topic, ban)

    async def is_banned(self, topic: str, ban: Ban) -> bool:
        return self._bans.has(topic, ban)

    def topics(self) -> Sequence[str]:
        """The topics that have entries."""
        return list(self._topics)

    def _next(self) -> int:
        self._version += 1
        return self._version


def _state(entries: Iterable[_Entry]) -> dict[str, dict[str, list[Meta]]]:
    return state_of((entry.key, entry.meta) for entry in entries)
