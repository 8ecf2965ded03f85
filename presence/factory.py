"""Creates the trackers of each event loop: in memory, or in Redis with a lease."""

from __future__ import annotations

from beam import redis
from beam.config.conf import conf
from beam.loops import per_loop
from presence.leases import Leases
from presence.local_tracker import LocalTracker
from presence.redis_tracker import RedisTracker
from presence.tracker import Tracker


def tracker() -> Tracker:
    """The running loop's tracker: in Redis if `REDIS_URL` is set."""
    return shared()[0] if conf().redis_url else local()


@per_loop
def local() -> LocalTracker:
    """The running loop's tracker in memory."""
    return LocalTracker()


@per_loop
def shared() -> tuple[RedisTracker, Leases]:
    """The running loop's tracker in Redis, and the lease of this process."""
    batch, prefix = redis.batch(), conf().redis_prefix
    leases = Leases(batch, prefix, conf().lease_seconds, conf().lease_renew)
    tracker = RedisTracker(batch, prefix, lambda: leases.process, leases.check)
    return tracker, leases
