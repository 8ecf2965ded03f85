"""Owns who is present: track, update, untrack and list, each with its diff.

Two back ends behind one interface, held to one contract by
`tests/contracts/test_tracker.py`: `LocalTracker` in process, `RedisTracker`
for many processes. A tracker returns diffs and never sends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import orjson

from beam import redis
from beam.conf import conf
from presence.state import Diff, Meta, Snapshot, sealed, state_of

PROCESS_ID = secrets.token_urlsafe(9)
"""This process, as the owner of its presence entries."""

# A version outlives its topic's last entry, so that a member that is still
# joining never sees it start anew.
VERSION_SECONDS = 3_600


class NotTracked(LookupError):
    """No entry has this ref: it was untracked, or never there."""


class Tracked(NamedTuple):
    """An entry was added: its ref, what changed, and the state before."""

    ref: str
    diff: Diff
    before: Snapshot


class Updated(NamedTuple):
    """An entry was replaced: its new ref, and what changed."""

    ref: str
    diff: Diff


class Tracker(Protocol):
    """What every back end promises.

    Each call is atomic, and the changes of one topic are numbered in the order
    in which they happen. Metas of a key are listed oldest first. A Redis that
    is away raises `beam.redis.RedisError`.
    """

    async def track(self, topic: str, key: str, meta: Meta) -> Tracked:
        """Add an entry; the state before it is read in the same step."""

    async def update(self, topic: str, ref: str, meta: Meta) -> Updated:
        """Replace an entry's meta. Raises `NotTracked` where it is gone."""

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        """Take entries away; refs that are gone are no error."""

    async def list(self, topic: str) -> Snapshot:
        """Everyone who is present, and the version of this state."""


def new_ref() -> str:
    """A `phx_ref`: 16 base64url characters, unique."""
    return secrets.token_urlsafe(12)


class LocalTracker:
    """Presence of one process, in memory."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, tuple[str, Meta]]] = {}
        self._version = time.time_ns() // 1_000

    async def track(self, topic: str, key: str, meta: Meta) -> Tracked:
        before = await self.list(topic)
        ref = new_ref()
        entry = (key, sealed(meta, ref))
        self._topics.setdefault(topic, {})[ref] = entry
        return Tracked(ref, Diff(state_of([entry]), {}, self._next()), before)

    async def update(self, topic: str, ref: str, meta: Meta) -> Updated:
        entries = self._topics.get(topic, {})
        if ref not in entries:
            raise NotTracked(ref)
        old = entries.pop(ref)
        fresh = new_ref()
        entries[fresh] = new = (old[0], sealed(meta, fresh, ref))
        return Updated(fresh, Diff(state_of([new]), state_of([old]), self._next()))

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        entries = self._topics.get(topic, {})
        gone = [entries.pop(ref) for ref in refs if ref in entries]
        if not gone:
            return Diff()
        if not entries:
            del self._topics[topic]
        return Diff({}, state_of(gone), self._next())

    async def list(self, topic: str) -> Snapshot:
        entries = self._topics.get(topic, {})
        return Snapshot(state_of(entries.values()), self._version)

    def _next(self) -> int:
        self._version += 1
        return self._version


def _script(name: str) -> str:
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text()


class RedisTracker:
    """Presence of all processes, in Redis: a hash and a counter a topic.

    An entry names the process that owns it, so that the others can reap what
    a dead one left.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._redis = client
        self._prefix = prefix
        batch = redis.Batch(client)
        self._track = redis.Script(batch, _script("track"))
        self._update = redis.Script(batch, _script("update"))
        self._untrack = redis.Script(batch, _script("untrack"))
        self._list = redis.Script(batch, _script("list"))

    async def track(self, topic: str, key: str, meta: Meta) -> Tracked:
        ref = new_ref()
        meta = sealed(meta, ref)
        args = [ref, self._entry(key, meta)]
        before, version, entries = await self._call(self._track, topic, args)
        diff = Diff(state_of([(key, meta)]), {}, version)
        return Tracked(ref, diff, Snapshot(_state(entries[1::2]), before))

    async def update(self, topic: str, ref: str, meta: Meta) -> Updated:
        # The key is the old entry's: read it, then replace both in one step.
        # Only the owner of an entry updates it, so nobody is in between.
        raw = await self._redis.hget(self._keys(topic)[0], ref)
        if raw is None:
            raise NotTracked(ref)
        key = orjson.loads(raw)["key"]
        fresh = new_ref()
        new = sealed(meta, fresh, ref)
        args = [ref, fresh, self._entry(key, new)]
        version, *old = await self._call(self._update, topic, args)
        if not old:
            raise NotTracked(ref)
        return Updated(fresh, Diff(state_of([(key, new)]), _state(old), version))

    async def untrack(self, topic: str, refs: Iterable[str]) -> Diff:
        args = [VERSION_SECONDS, *refs]
        version, gone = await self._call(self._untrack, topic, args)
        return Diff({}, _state(gone), version)

    async def list(self, topic: str) -> Snapshot:
        version, entries = await self._call(self._list, topic, [])
        return Snapshot(_state(entries[1::2]), version)

    def _keys(self, topic: str) -> tuple[str, str]:
        # The hash tag keeps both keys of a topic in one slot of a cluster.
        tag = blake2b(topic.encode(), digest_size=16).hexdigest()
        stem = f"{self._prefix}:{{{tag}}}"
        return f"{stem}:present", f"{stem}:version"

    def _entry(self, key: str, meta: Meta) -> bytes:
        entry = {"key": key, "meta": meta, "process": PROCESS_ID}
        return orjson.dumps(entry | {"at": time.time_ns()})

    async def _call(self, script: redis.Script, topic: str, args: Any) -> Any:
        return await script(self._keys(topic), args)


def _state(raw: Iterable[bytes]) -> Any:
    """Entries as a state. Redis keeps no order: oldest first by their time."""
    entries = sorted(map(orjson.loads, raw), key=lambda entry: entry["at"])
    return state_of((entry["key"], entry["meta"]) for entry in entries)


_local: WeakKeyDictionary[asyncio.AbstractEventLoop, LocalTracker]
_local = WeakKeyDictionary()
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, RedisTracker]
_shared = WeakKeyDictionary()


def tracker() -> Tracker:
    """The running loop's tracker: in Redis where `REDIS_URL` is set."""
    loop = asyncio.get_running_loop()
    if conf().redis_url:
        if loop not in _shared:
            _shared[loop] = RedisTracker(redis.client(), conf().redis_prefix)
        return _shared[loop]
    if loop not in _local:
        _local[loop] = LocalTracker()
    return _local[loop]
