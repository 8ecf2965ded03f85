"""Renews and releases the lease of this process."""

from __future__ import annotations

import asyncio
import logging

from beam import redis
from beam.config.conf import conf
from presence import factory
from presence.leases import Leases

logger = logging.getLogger(__name__)

# Not zero, which would mean that no entries are left: the lease expires at once.
SOON = 0.001


async def keep_renewed(leases: Leases) -> None:
    """Renew the lease until cancelled.

    Runs in a task of its own: reaping many members may take longer than a lease.
    """
    while True:
        await asyncio.sleep(conf().lease_renew / 2)
        if not redis.link().up:
            continue
        try:
            await leases.renew_if_due()
        except redis.Unavailable:
            logger.debug("Cannot renew the lease", exc_info=True)
        except Exception:
            logger.exception("Cannot renew the lease")


async def release(grace: float) -> None:
    """Release the lease. `grace`: seconds until the last grace period is over."""
    tracker, leases = factory.shared()
    try:
        if grace or tracker.topics():
            # Another process removes the entries that Redis still has.
            await leases.release(max(grace, SOON))
        else:
            await tracker.index.delete(leases.process)
            await leases.release()
    except redis.Unavailable:
        logger.warning("Cannot release the lease: it expires by itself")
