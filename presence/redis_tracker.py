"""Owns presence of all processes, in Redis: six keys a topic, one index a process.

Every entry names the process that holds it, and every process keeps what it
holds: where Redis lost it, `reconcile` puts it back; where the process died,
another one `reap`s it. Scripts are in `lua/`, each called from one place.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from beam import redis
from presence import admission
from presence.admission import UNLIMITED, Bar, Limits, Shut
from presence.entry import body_of, meta_of, new_ref
from presence.state import Diff, Meta, Snapshot, sealed, state_of
from presence.tracker import Left, NotTracked, Size, Tracked, Updated

SCANNED_AT_ONCE = 1_000
# What `leave.lua` answers for a key that may not enter any more.
BARRED = 2
# What `update.lua` answers for an entry that is too large.
OVER_LIMIT = -1

Args = Sequence[Any] | Callable[[], Sequence[Any]]

_LUA = Path(__file__).parent / "lua"


class _Held(NamedTuple):
    """An entry that this process holds: what `reconcile` needs of it."""

    key: str
    group: str
    body: str


class RedisTracker:
    """See `presence.tracker.Tracker`. Topics are shared with all processes."""

    def __init__(
        self,
        batch: redis.Batch,
        prefix: str,
        process: Callable[[], str],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`process`: this process's id, which changes when it was reaped.

        `check`: raises `RedisError` while it may not add entries under this id.
        """
        self._batch = batch
        self._prefix = prefix
        self.process = process
        self._check = check
        self._held: dict[str, dict[str, _Held]] = {}
        # Refs in their grace period, which this process ends.
        self._lingering: dict[str, set[str]] = {}
        # Refs that are being replaced -> their new ones. Who gives up waiting for
        # it knows only the old one.
        self._renewing: dict[str, str] = {}
        # Topics where a call failed or found less than is held: Redis may have done
        # it or not, or in part.
        self._doubtful: set[str] = set()
        self._track = self._script("track")
        self._update = self._script("update")
        self._untrack = self._script("untrack")
        self._leave = self._script("leave")
        self._evict = self._script("evict")
        self._list = self._script("list")
        self._reap = self._script("reap")
        self._reconcile = self._script("reconcile")
        self._bar = self._script("bar")
        self._admits = self._script("admits")

    def _script(self, name: str) -> redis.Script:
        text = (_LUA / "topic.lua").read_text() + (_LUA / f"{name}.lua").read_text()
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
        meta = sealed(meta, ref)
        held = _Held(key, _digest(group), body_of(key, meta))
        self._hold(topic, ref, held)
        args = [ref, process, held.group, held.body, key, *limits]
        try:
            answer = await self._call(self._track, topic, args)
            *found, there = answer
            if there and (len(found) == 1 or found[3]):
                # `reconcile` added an entry that this process does not hold.
                self._doubtful.add(topic)
            if len(found) == 1:
                raise Shut(found[0].decode())
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                # Nobody waits, and Redis may still do it.
                self._doubtful.add(topic)
            self._let_go(topic, ref)
            self._leave_index(topic)
            raise
        before, version, bodies, taken = found
        snapshot = Snapshot(_state(bodies), before)
        if not taken:
            return Tracked(ref, Diff(state_of([(key, meta)]), {}, version), snapshot)
        taken = taken.decode()
        meta = meta_of(snapshot, taken)
        self._hold(topic, taken, held._replace(body=body_of(key, meta)))
        self._let_go(topic, ref)
        return Tracked(taken, Diff(version=version), snapshot)

    async def update(
        self, topic: str, ref: str, meta: Meta, limits: Limits = UNLIMITED
    ) -> Updated:
        old = self._held.get(topic, {}).get(ref)
        if old is None:
            raise NotTracked(ref)
        fresh = new_ref()
        new = sealed(meta, fresh, ref)
        held = old._replace(body=body_of(old.key, new))
        args = [ref, fresh, self.process(), held.group, held.body, limits.size]
        # Before the call: what reconciles meanwhile comes behind it.
        self._hold(topic, fresh, held)
        self._let_go(topic, ref)
        self._renewing[ref] = fresh
        try:
            version, *gone = await self._call(self._update, topic, args)
            if version == OVER_LIMIT:
                raise Shut(admission.TOO_LARGE)
            if not gone:
                self._doubtful.add(topic)
                raise NotTracked(ref)
        except asyncio.CancelledError:
            raise
        except BaseException:
            del self._renewing[ref]
            self._hold(topic, ref, old)
            self._let_go(topic, fresh)
            raise
        del self._renewing[ref]
        return Updated(fresh, Diff(state_of([(old.key, new)]), _state(gone), version))

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        refs = list(refs)
        refs += [self._renewing.pop(ref) for ref in refs if ref in self._renewing]
        for ref in refs:
            self._let_go(topic, ref)
        return await self._take("0", topic, refs)

    async def expire(self, topic: str, ref: str) -> Diff:
        self._linger_no_more(topic, ref)
        return await self._take("1", topic, [ref])

    async def _take(self, only: str, topic: str, refs: Iterable[str]) -> Diff:
        version, gone = await self._call(self._untrack, topic, [only, *refs])
        # Behind the entries: a process that dies in between is reaped whole.
        self._leave_index(topic)
        return Diff({}, _state(gone), version)

    def _leave_index(self, topic: str) -> None:
        holds = (self._held, self._lingering, self._doubtful)
        if not any(topic in each for each in holds):
            self._batch.tell("ZREM", self._index(self.process()), topic)

    async def leave(self, topic: str, ref: str) -> Left:
        ref = self._renewing.pop(ref, ref)
        held = self._held.get(topic, {}).get(ref)
        if held is None:
            return Left(ref)
        # Until its timer ends it is Redis's alone, and lost with it.
        self._let_go(topic, ref)
        self._lingering.setdefault(topic, set()).add(ref)
        try:
            found = await self._call(self._leave, topic, [ref, held.key])
        except BaseException:
            # Nobody will end it: `reconcile` does.
            self._doubtful.add(topic)
            self._linger_no_more(topic, ref)
            raise
        return Left(ref, barred=found == BARRED)

    async def evict(self, topic: str, bar: Bar) -> Diff:
        version, gone = await self._call(self._evict, topic, [_text(bar)])
        return Diff({}, _state(gone), version)

    def _linger_no_more(self, topic: str, ref: str) -> None:
        lingering = self._lingering.get(topic, set())
        lingering.discard(ref)
        if not lingering:
            self._lingering.pop(topic, None)

    async def list(self, topic: str) -> Snapshot:
        version, bodies = await self._call(self._list, topic, [])
        return Snapshot(_state(bodies), version)

    async def admit(self, topic: str, key: str, group: str) -> None:
        args = [key, _digest(group)]
        if reason := await self._admits(self.keys(topic), args):
            raise Shut(reason.decode())

    async def shut(self, topic: str, bar: Bar, seconds: float | None = None) -> None:
        ms = -1 if seconds is None else math.ceil(seconds * 1_000)
        done = await self._bar(self.keys(topic), [_text(bar), ms, admission.MOST_BARS])
        if not done:
            raise admission.TooManyBars

    async def open(self, topic: str, bar: Bar) -> None:
        await self._bar(self.keys(topic), [_text(bar), 0, admission.MOST_BARS])

    async def is_shut(self, topic: str, bar: Bar) -> bool:
        asked = [("ZSCORE", self.keys(topic)[4], _text(bar)), ("TIME",)]
        ends, (seconds, _) = await self._batch.calls(asked)
        return ends is not None and float(ends) > int(seconds) * 1_000

    async def sizes(self, topics: Sequence[str]) -> Sequence[Size]:
        keys = [self.keys(topic) for topic in topics]
        asked = [("HLEN", key) for each in keys for key in (each[0], each[3])]
        found = await self._batch.calls(asked)
        pairs = zip(found[::2], found[1::2], strict=True)
        return [Size(entries, groups) for entries, groups in pairs]

    async def holders(self, topic: str) -> dict[str, str]:
        found = await self._batch.call("HGETALL", self.keys(topic)[0])
        pairs = found.items() if isinstance(found, dict) else _pairs(found)
        return {ref.decode(): entry.split(b" ", 1)[0].decode() for ref, entry in pairs}

    async def versions(self, topics: Sequence[str]) -> Sequence[int]:
        """The number of each topic's last change; 0 for one never seen."""
        asked = [("GET", self.keys(topic)[1]) for topic in topics]
        return [int(version or 0) for version in await self._batch.calls(asked)]

    async def reap(self, topic: str, process: str) -> Diff:
        """Take away what a dead process left in a topic."""
        version, gone = await self._call(self._reap, topic, [process])
        return Diff({}, _state(gone), version)

    async def owners(self, topic: str) -> set[str]:
        """The processes that hold entries in a topic."""
        return await self._owners(self.keys(topic))

    async def owners_elsewhere(self, topics: Iterable[str]) -> dict[str, set[str]]:
        """The processes that hold entries in all other topics, by their digests.

        Nobody lives there who could say a topic's name. Looks at every topic in
        Redis.
        """
        named = {_digest(topic) for topic in topics}
        found: dict[str, set[str]] = {}
        async for digest in self._digests():
            if digest not in named:
                found[digest] = await self._owners(self._keys(digest))
        return found

    async def reap_elsewhere(self, digest: str, process: str) -> int:
        """Take away what a dead process left in a topic without a name; how many.

        Nobody lives there who would have to be told.
        """
        _, gone = await self._reap(self._keys(digest), [process])
        return len(gone)

    async def _owners(self, keys: Sequence[str]) -> set[str]:
        entries = await self._batch.call("HVALS", keys[0])
        return {entry.split(b" ", 1)[0].decode() for entry in entries}

    async def _digests(self) -> AsyncIterator[str]:
        """Every topic that has entries. One may come twice."""
        pattern, at = self._keys("*")[0], 0
        while True:
            command = ("SCAN", at, "MATCH", pattern, "COUNT", SCANNED_AT_ONCE)
            at, found = await self._batch.call(*command)
            for key in found:
                yield key.decode().partition("{")[2].partition("}")[0]
            if not (at := int(at)):
                return

    async def reconcile(self, topic: str, former: str) -> Diff:
        """Make Redis agree with what this process holds of a topic.

        `former`: the id under which this process was reaped, or its id.
        """
        self._doubtful.discard(topic)

        def args() -> list[Any]:
            held = self._held.get(topic, {}).items()
            entries = [(ref, entry.group, entry.body) for ref, entry in held]
            ours = chain.from_iterable(entries)
            lingering = self._lingering.get(topic, ())
            return [self.process(), former, len(entries), *ours, *lingering]

        version, came, gone = await self._call(self._reconcile, topic, args)
        return Diff(_state(came), _state(gone), version)

    def topics(self) -> Sequence[str]:
        """The topics in which this process holds entries, or may."""
        return [*self._held.keys() | self._lingering.keys() | self._doubtful]

    def doubtful(self) -> Sequence[str]:
        """The topics in which Redis may differ from what this process holds."""
        return [*self._doubtful]

    async def topics_of(self, process: str) -> Sequence[str]:
        """The topics in which a process holds entries, or may."""
        found = await self._batch.call("ZRANGE", self._index(process), 0, -1)
        return [topic.decode() for topic in found]

    async def topics_between(
        self, process: str, prefix: str, after: str, limit: int
    ) -> Sequence[str]:
        """A process's topics behind `after` that begin with `prefix`, in order."""
        first = f"({after}" if after.encode() >= prefix.encode() else f"[{prefix}"
        # No UTF-8 text has this byte.
        last = b"[" + prefix.encode() + b"\xff"
        command = ("ZRANGEBYLEX", self._index(process), first, last)
        found = await self._batch.call(*command, "LIMIT", 0, limit)
        return [topic.decode() for topic in found]

    async def index(self) -> None:
        """Write down in which topics this process holds entries."""
        index = self._index(self.process())
        await self._batch.calls(
            [("DEL", index), *(("ZADD", index, 0, topic) for topic in self.topics())]
        )

    async def forget(self, process: str) -> None:
        """Nothing of a process is left to be found."""
        await self._batch.call("DEL", self._index(process))

    def _hold(self, topic: str, ref: str, held: _Held) -> None:
        if topic not in self._held:
            self._held[topic] = {}
            # Sent before the entry, over the same connection.
            self._batch.tell("ZADD", self._index(self.process()), 0, topic)
        self._held[topic][ref] = held

    def _let_go(self, topic: str, ref: str) -> None:
        held = self._held.get(topic, {})
        held.pop(ref, None)
        if not held:
            self._held.pop(topic, None)

    def _index(self, process: str) -> str:
        return f"{self._prefix}:{{process:{process}}}:topics"

    def keys(self, topic: str) -> tuple[str, ...]:
        """A topic's keys: entries, version, leaving, groups, gate, weight."""
        return self._keys(_digest(topic))

    def _keys(self, digest: str) -> tuple[str, ...]:
        # The hash tag keeps all keys of a topic in one slot of a cluster.
        stem = f"{self._prefix}:{{{digest}}}"
        return (
            f"{stem}:present",
            f"{stem}:version",
            f"{stem}:leaving",
            f"{stem}:groups",
            f"{stem}:gate",
            f"{stem}:weight",
        )

    async def _call(self, script: redis.Script, topic: str, args: Args) -> Any:
        try:
            return await script(self.keys(topic), args)
        except (redis.RedisError, OSError):
            self._doubtful.add(topic)
            raise


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _text(bar: Bar) -> str:
    """A bar as Redis knows it: groups by their digests."""
    return str(admission.group(_digest(bar.name)) if bar.kind == "group" else bar)


def _state(bodies: Iterable[bytes]) -> Any:
    """Entries as a state. Redis keeps no order: oldest first by their time."""
    entries = sorted(map(orjson.loads, bodies), key=lambda entry: entry["at"])
    return state_of((entry["key"], entry["meta"]) for entry in entries)


def _pairs(flat: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
