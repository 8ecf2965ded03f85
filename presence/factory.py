"""Owns the choice of back end, in process or Redis: one of each kind an event loop."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from beam import redis
from beam.config.conf import conf
from presence.leases import Leases
from presence.redis_tracker import RedisTracker
from presence.tracker import LocalTracker, Tracker

_local: WeakKeyDictionary[asyncio.AbstractEventLoop, LocalTracker]
_local = WeakKeyDictionary()
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[RedisTracker, Leases]]
_shared = WeakKeyDictionary()


def tracker() -> Tracker:
    """The running loop's tracker: in Redis where `REDIS_URL` is set."""
    return shared()[0] if conf().redis_url else local()


def local() -> LocalTracker:
    """The running loop's tracker of one process."""
    loop = asyncio.get_running_loop()
    if loop not in _local:
        _local[loop] = LocalTracker()
    return _local[loop]


def shared() -> tuple[RedisTracker, Leases]:
    """The running loop's tracker in Redis, and its lease there."""
    loop = asyncio.get_running_loop()
    if loop not in _shared:
        batch, prefix = redis.batch(), conf().redis_prefix
        leases = Leases(batch, prefix, conf().lease_seconds, conf().lease_renew)
        tracker = RedisTracker(batch, prefix, lambda: leases.process, leases.check)
        _shared[loop] = tracker, leases
    return _shared[loop]
