"""The presence of all processes, in Redis: six keys per topic, one index per process.

Every entry in Redis names the process that holds it, its owner. The process keeps a
copy: `reconcile` adds entries that Redis lost. If the process dies, another one removes
its entries with `reap`. The scripts are in `lua/`; each is called in one place.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from beam import redis
from presence import admission
from presence.admission import UNLIMITED, Ban, Limits, NotAdmitted
from presence.entry import body_of, meta_of, new_ref
from presence.entry_owners import EntryOwners
from presence.own_entries import OwnEntries, OwnEntry
from presence.process_index import ProcessIndex
from presence.redis_keys import TopicKeys, ban_text, digest, topic_keys
from presence.state import Diff, Meta, Snapshot, state_of, with_refs
from presence.tracker import Left, NotTracked, Size, Tracked, Updated

# The reply of `leave.lua` for a key that is banned.
BANNED = 2
# The reply of `update.lua` for an entry that is too large.
OVER_LIMIT = -1

Args = Sequence[Any] | Callable[[], Sequence[Any]]

_LUA = Path(__file__).parent / "lua"


class RedisTracker:
    """Presence of all processes: see `presence.tracker.Tracker`."""

    def __init__(
        self,
        batch: redis.Batch,
        prefix: str,
        process: Callable[[], str],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`process`: returns the id of this process, which changes after it was reaped.

        `check`: raises `beam.redis.Unavailable` while the process may not add
        entries under its id.
        """
        self._batch = batch
        self._prefix = prefix
        self.process = process
        self._check = check
        self._held = OwnEntries()
        self.index = ProcessIndex(batch, prefix)
        self.entry_owners = EntryOwners(batch, prefix)
        self._track = self._script("track")
        self._update = self._script("update")
        self._untrack = self._script("untrack")
        self._leave = self._script("leave")
        self._end_grace = self._script("end_grace")
        self._list = self._script("list")
        self._reap = self._script("reap")
        self._reconcile = self._script("reconcile")
        self._ban = self._script("ban")
        self._admit = self._script("check_bans")

    def _script(self, name: str) -> redis.Script:
        text = (_LUA / "prelude.lua").read_text() + (_LUA / f"{name}.lua").read_text()
        return redis.Script(self._batch, text)

    async def track(
        self,
        topic: str,
        key: str,
        meta: Meta,
        group: str = "",
        limits: Limits = UNLIMITED,
    ) -> Tracked:
        self._check()
        ref, process = new_ref(), self.process()
        meta = with_refs(meta, ref)
        held = OwnEntry(key, digest(group), body_of(key, meta))
        self._hold(topic, ref, held)
        args = [ref, process, held.group, held.body, key, *limits]
        try:
            answer = await self._call(self._track, topic, args)
            *found, existed = answer
            if existed and (len(found) == 1 or found[3]):
                # `reconcile` added the entry, which was then refused or not needed.
                self._held.uncertain.add(topic)
            if len(found) == 1:
                raise NotAdmitted(found[0].decode())
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                # The caller does not wait any more, and Redis may still add it.
                self._held.uncertain.add(topic)
            self._held.remove(topic, ref)
            self._leave_index(topic)
            raise
        before, version, bodies, taken = found
        snapshot = Snapshot(_state(bodies), before)
        if taken:
            return self._take_over(topic, taken.decode(), ref, held, snapshot)
        return Tracked(ref, Diff(state_of([(key, meta)]), {}, version), snapshot)

    def _take_over(
        self, topic: str, ref: str, unused: str, held: OwnEntry, state: Snapshot
    ) -> Tracked:
        """Hold the entry that was taken over in place of the one that was not added."""
        body = body_of(held.key, meta_of(state, ref))
        self._hold(topic, ref, held._replace(body=body))
        self._held.remove(topic, unused)
        return Tracked(ref, Diff(version=state.version), state)

    async def update(
        self, topic: str, ref: str, meta: Meta, limits: Limits = UNLIMITED
    ) -> Updated:
        old = self._held.get(topic, ref)
        if old is None:
            raise NotTracked(ref)
        fresh = new_ref()
        new = with_refs(meta, fresh, ref)
        held = old._replace(body=body_of(old.key, new))
        args = [ref, fresh, self.process(), held.group, held.body, limits.size]
        # Before the call: Redis gets a `reconcile` that starts now after it.
        self._hold(topic, fresh, held)
        self._held.remove(topic, ref)
        self._held.replaced[ref] = fresh
        try:
            version, *gone = await self._call(self._update, topic, args)
            if version == OVER_LIMIT:
                raise NotAdmitted(admission.TOO_LARGE)
            if not gone:
                self._held.uncertain.add(topic)
                raise NotTracked(ref)
        except asyncio.CancelledError:
            raise
        except BaseException:
            del self._held.replaced[ref]
            self._hold(topic, ref, old)
            self._held.remove(topic, fresh)
            raise
        del self._held.replaced[ref]
        return Updated(fresh, Diff(state_of([(old.key, new)]), _state(gone), version))

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        refs = list(refs)
        refs += [
            self._held.replaced.pop(ref) for ref in refs if ref in self._held.replaced
        ]
        for ref in refs:
            self._held.remove(topic, ref)
        return await self._take("0", topic, refs)

    async def expire(self, topic: str, ref: str) -> Diff:
        self._held.end_grace(topic, ref)
        return await self._take("1", topic, [ref])

    async def _take(self, only: str, topic: str, refs: Iterable[str]) -> Diff:
        version, gone = await self._call(self._untrack, topic, [only, *refs])
        # After the entries: a process that dies in between is reaped completely.
        self._leave_index(topic)
        return Diff({}, _state(gone), version)

    def _leave_index(self, topic: str) -> None:
        if not self._held.has(topic):
            self.index.remove(self.process(), topic)

    async def leave(self, topic: str, ref: str) -> Left:
        ref = self._held.replaced.pop(ref, ref)
        held = self._held.get(topic, ref)
        if held is None:
            return Left(ref)
        self._held.begin_grace(topic, ref)
        try:
            found = await self._call(self._leave, topic, [ref, held.key])
        except BaseException:
            # No timer will end its grace period: `reconcile` removes it.
            self._held.uncertain.add(topic)
            self._held.end_grace(topic, ref)
            raise
        return Left(ref, banned=found == BANNED)

    async def end_grace(self, topic: str, ban: Ban) -> Diff:
        version, gone = await self._call(self._end_grace, topic, [ban_text(ban)])
        return Diff({}, _state(gone), version)

    async def list(self, topic: str) -> Snapshot:
        version, bodies = await self._call(self._list, topic, [])
        return Snapshot(_state(bodies), version)

    async def admit(self, topic: str, key: str, group: str) -> None:
        args = [key, digest(group)]
        if reason := await self._admit(self.keys(topic), args):
            raise NotAdmitted(reason.decode())

    async def ban(self, topic: str, ban: Ban, seconds: float | None = None) -> None:
        ms = -1 if seconds is None else math.ceil(seconds * 1_000)
        done = await self._ban(
            self.keys(topic), [ban_text(ban), ms, admission.MAX_BANS]
        )
        if not done:
            raise admission.TooManyBans

    async def unban(self, topic: str, ban: Ban) -> None:
        await self._ban(self.keys(topic), [ban_text(ban), 0, admission.MAX_BANS])

    async def is_banned(self, topic: str, ban: Ban) -> bool:
        asked = [("ZSCORE", self.keys(topic).bans, ban_text(ban)), ("TIME",)]
        ends, (seconds, _) = await self._batch.calls(asked)
        return ends is not None and float(ends) > int(seconds) * 1_000

    async def sizes(self, topics: Sequence[str]) -> Sequence[Size]:
        keys = [self.keys(topic) for topic in topics]
        asked = [("HLEN", key) for each in keys for key in (each.entries, each.groups)]
        found = await self._batch.calls(asked)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Size(entries, groups) for entries, groups in pairs]

    async def owners(self, topic: str) -> dict[str, str]:
        found = await self._batch.call("HGETALL", self.keys(topic).entries)
        pairs = found.items() if isinstance(found, dict) else _pairs(found)
        return {ref.decode(): entry.split(b" ", 1)[0].decode() for ref, entry in pairs}

    async def versions(self, topics: Sequence[str]) -> Sequence[int]:
        """The version of each topic; 0 for a topic that Redis does not know."""
        asked = [("GET", self.keys(topic).version) for topic in topics]
        return [int(version or 0) for version in await self._batch.calls(asked)]

    async def reap(self, topic: str, process: str) -> Diff:
        """Remove the entries of a dead process from a topic."""
        version, gone = await self._call(self._reap, topic, [process])
        return Diff({}, _state(gone), version)

    async def reap_elsewhere(self, topic_digest: str, process: str) -> int:
        """Remove a dead process's entries from a topic whose name is not known.

        Returns how many. No live process is in the topic, so no diff is needed.
        """
        _, gone = await self._reap(topic_keys(self._prefix, topic_digest), [process])
        return len(gone)

    async def reconcile(self, topic: str, former: str) -> Diff:
        """Make Redis agree with the entries that this process holds in a topic.

        `former`: the id under which this process was reaped, or else its id.
        """
        self._held.uncertain.discard(topic)

        def args() -> list[Any]:
            return [self.process(), former, *self._held.script_args(topic)]

        version, came, gone = await self._call(self._reconcile, topic, args)
        return Diff(_state(came), _state(gone), version)

    def topics(self) -> Sequence[str]:
        """The topics in which this process has, or may have, entries in Redis."""
        return self._held.topics()

    def uncertain_topics(self) -> Sequence[str]:
        """The topics in which Redis may disagree with what this process holds."""
        return [*self._held.uncertain]

    def _hold(self, topic: str, ref: str, held: OwnEntry) -> None:
        if self._held.add(topic, ref, held):
            # Redis gets it before the entry: same connection.
            self.index.add(self.process(), topic)

    def keys(self, topic: str) -> TopicKeys:
        """The Redis keys of a topic."""
        return topic_keys(self._prefix, digest(topic))

    async def _call(self, script: redis.Script, topic: str, args: Args) -> Any:
        try:
            return await script(self.keys(topic), args)
        except redis.Unavailable:
            self._held.uncertain.add(topic)
            raise


def _state(bodies: Iterable[bytes]) -> Any:
    """The state of entries. Redis has no order: they are sorted by their time."""
    entries = sorted(map(orjson.loads, bodies), key=lambda entry: entry["at"])
    return state_of((entry["key"], entry["meta"]) for entry in entries)


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
