"""Lists the topics that have members, page by page, in the order of their names.

It does not scan Redis: it reads the index of each process.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from beam.config.conf import conf
from presence.factory import local, shared, tracker
from presence.tracker import Size


class Listed(NamedTuple):
    """A topic that has members, and its size."""

    topic: str
    size: Size


async def page(prefix: str, after: str, limit: int) -> list[Listed]:
    """The next topics after `after` that begin with `prefix`, at most `limit`.

    In the order of their UTF-8 bytes. Raises `beam.redis.Unavailable`.
    """
    found: list[Listed] = []
    while len(found) < limit:
        names = await _names(prefix, after, limit)
        sizes = await tracker().sizes(names)
        pairs = zip(names, sizes, strict=True)
        # An index may name topics that have no members any more.
        found += [Listed(topic, size) for topic, size in pairs if size.entries]
        if len(names) < limit:
            break
        after = names[-1]
    return found[:limit]


async def _names(prefix: str, after: str, limit: int) -> list[str]:
    if not conf().redis_url:
        return heapq.nsmallest(
            limit,
            _behind(local().topics(), prefix, after),
            key=_key,
        )
    tracker, leases = shared()
    live, dead = await leases.live_and_dead()
    names: set[str] = set()
    for process in live | dead:
        names.update(await tracker.index.topics_between(process, prefix, after, limit))
    return heapq.nsmallest(limit, names, key=_key)


def _behind(topics: Iterable[str], prefix: str, after: str) -> Iterable[str]:
    return (t for t in topics if t.startswith(prefix) and _key(t) > _key(after))


def _key(topic: str) -> bytes:
    return topic.encode()
