"""Redis: the client, the channel layer, and what both use.

While Redis is unavailable, calls fail at once, and one task probes it. A Redis that
answers and refuses commands is unavailable, too: see `beam.redis.refusals`.
"""

from redis.asyncio import Redis

from beam.redis.client import client, connect, drop_idle, reconnect
from beam.redis.command_batch import CALLS_AT_ONCE, Batch, Command, batch, close
from beam.redis.exceptions import (
    LIBRARY_ERRORS,
    CommandFailed,
    CommandRefused,
    NoAnswer,
    NotSent,
    SubscriptionLost,
    Unavailable,
    Unreachable,
    described,
    translated,
)
from beam.redis.link import Link, link
from beam.redis.scripts import Script
from beam.redis.write_probe import PROBE

__all__ = [
    "CALLS_AT_ONCE",
    "LIBRARY_ERRORS",
    "PROBE",
    "Batch",
    "Command",
    "CommandFailed",
    "CommandRefused",
    "Link",
    "NoAnswer",
    "NotSent",
    "Redis",
    "Script",
    "SubscriptionLost",
    "Unavailable",
    "Unreachable",
    "batch",
    "client",
    "close",
    "connect",
    "described",
    "drop_idle",
    "link",
    "reconnect",
    "translated",
]
