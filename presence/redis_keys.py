"""The names of the Redis keys of topics and of processes.

Keys hold digests: a topic may be long, and hold any character.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from presence import admission
from presence.admission import Ban


class TopicKeys(NamedTuple):
    """The keys of one topic, in the order of `KEYS` in `lua/topic.lua`."""

    entries: str
    version: str
    leaving: str
    groups: str
    gate: str
    weight: str


def topic_keys(prefix: str, digest: str) -> TopicKeys:
    """A topic's keys. `digest`: of the topic; `*` for a pattern of all topics."""
    # The hash tag keeps all keys of a topic in one slot of a cluster.
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
    """The digest of the topic that a key is of."""
    return key.partition("{")[2].partition("}")[0]


def process_topics_key(prefix: str, process: str) -> str:
    """The key of a process's index: the topics in which it holds entries."""
    return f"{prefix}:{{process:{process}}}:topics"


def digest(text: str) -> str:
    """32 hexadecimal digits for a topic or a group."""
    return blake2b(text.encode(), digest_size=16).hexdigest()


def ban_text(ban: Ban) -> str:
    """A ban as Redis knows it: groups by their digests."""
    return str(admission.group(digest(ban.name)) if ban.kind == "group" else ban)
