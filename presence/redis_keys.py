"""The names of the Redis keys of topics and processes.

They contain a digest of the topic: a topic may be long and have any character.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from presence import admission
from presence.admission import Ban


class TopicKeys(NamedTuple):
    """The keys of one topic, in the order of `KEYS` in `lua/prelude.lua`.

    Their types and contents are described there.
    """

    entries: str
    version: str
    leaving: str
    groups: str
    bans: str
    weight: str


def topic_keys(prefix: str, digest: str) -> TopicKeys:
    """The keys of the topic with this digest; with `*`, patterns of all topics."""
    # The hash tag puts all keys of a topic into one slot of a Redis Cluster.
    stem = f"{prefix}:{{{digest}}}"
    return TopicKeys(
        f"{stem}:present",
        f"{stem}:version",
        f"{stem}:leaving",
        f"{stem}:groups",
        f"{stem}:gate",
        f"{stem}:weight",
    )


def topic_digest(key: str) -> str:
    """The digest in the name of a topic's key."""
    return key.partition("{")[2].partition("}")[0]


class LeaseKeys(NamedTuple):
    """The keys of all leases, in the order of `KEYS` in `lua/renew.lua`."""

    renewals: str
    reports: str
    claims: str


def lease_keys(prefix: str) -> LeaseKeys:
    """The keys of the leases of a deployment."""
    stem = f"{prefix}:{{processes}}"
    return LeaseKeys(f"{stem}:beats", f"{stem}:about", f"{stem}:claims")


def process_topics_key(prefix: str, process: str) -> str:
    """The key of a process's index: see `presence.process_index`."""
    return f"{prefix}:{{process:{process}}}:topics"


def digest(text: str) -> str:
    """The digest of a topic or a group: 32 hexadecimal digits."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def ban_text(ban: Ban) -> str:
    """The text of a ban in Redis, with the digest of a group in place of its name."""
    return str(admission.group(digest(ban.name)) if ban.kind == "group" else ban)
