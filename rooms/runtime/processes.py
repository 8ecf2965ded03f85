"""Lists the processes of the deployment, and describes this one."""

from __future__ import annotations

from typing import Any

from beam.config.conf import conf
from presence import factory
from presence.tracker import ALONE
from rooms.messaging.connections import connections
from rooms.messaging.hub import hub
from rooms.monitoring import process_stats


def describe() -> dict[str, Any]:
    """This process: host, pid, started (Unix time), sockets, rooms."""
    return process_stats.identity() | {
        "sockets": len(connections()),
        "rooms": hub().count_topics(),
    }


async def processes() -> list[dict[str, Any]]:
    """Every live process: its id, and what its `describe` returns.

    Raises `beam.redis.Unavailable`.
    """
    if not conf().redis_url:
        return [{"id": ALONE} | describe()]
    _, leases = factory.shared()
    return await leases.processes()
