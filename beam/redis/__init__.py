"""Redis: the client, the channel layer, and what both use.

While Redis is unavailable, calls fail at once, and one task probes it. A Redis that
answers and refuses commands is unavailable, too: see `beam.redis.refusals`.

- `channel_layer`: the channel layers, with a faster path for the hub
- `client`: the redis-py clients, one per event loop
- `command_batch`: commands of one turn of the event loop in one pipeline
- `exceptions`: the exceptions of calls to Redis
- `link`: whether Redis is available
- `message_bundle`: the messages of a group from one turn, packed into one
- `publish_batch`: publishes the messages of one turn in one pipeline
- `pubsub`: the subscribed connection of redis-py
- `refusals`: which error replies mean that Redis is unavailable
- `scripts`: calls Lua scripts by their hash
- `shard`: subscribes, receives and publishes at one Redis server
- `startup_check`: whether Redis can be reached, at the start
- `subscription_check`: checks regularly that the subscription delivers
- `subscription_proof`: one such check: a message, and an UNSUBSCRIBE
- `write_probe`: whether Redis accepts writes
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
