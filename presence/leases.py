"""Owns which processes live: each renews a lease, and others bury the dead."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from beam import redis

CLAIMED_AT_ONCE = 10
# Among the dead: all that hold entries and are not known any more.
FORGOTTEN = "*"


class Beat(NamedTuple):
    """What a renewal tells.

    `known`: the lease was there; else it ran out, or Redis lost it, or it is
    the first. `dead`: processes that are this one's to reap; `FORGOTTEN` too.
    """

    known: bool
    dead: list[str]


class Leases:
    """This process's lease, and the registry of all processes."""

    def __init__(self, batch: redis.Batch, prefix: str, seconds: float) -> None:
        """`seconds`: how long a lease lasts without being renewed."""
        stem = f"{prefix}:{{processes}}"
        self._keys = (f"{stem}:leases", f"{stem}:info", f"{stem}:dead")
        self._batch = batch
        self._seconds = seconds
        text = (Path(__file__).parent / "lua" / "beat.lua").read_text()
        self._beat = redis.Script(batch, text)
        self.process = new_process_id()
        self.clock = 0
        """Milliseconds in place of Redis's clock, for tests; 0: Redis's."""

    async def beat(self, info: dict[str, Any]) -> Beat:
        """Renew the lease and tell about this process."""
        lease = int(self._seconds * 1_000)
        body = orjson.dumps(info)
        args = [self.process, lease, body, self.clock, CLAIMED_AT_ONCE]
        known, dead = await self._beat(self._keys, args)
        return Beat(bool(known), [process.decode() for process in dead])

    def renew_id(self) -> str:
        """Go on under a new id: the old one is another's to reap. The old one."""
        former, self.process = self.process, new_process_id()
        return former

    async def bury(self, process: str) -> None:
        """A dead process was reaped."""
        await self._batch.call("ZREM", self._keys[2], process)

    async def end(self, seconds: float = 0.0) -> None:
        """Give up the lease; what is left is to be reaped after some seconds."""
        leases, info, dead = self._keys
        told: list[tuple[Any, ...]] = [
            ("ZREM", leases, self.process),
            ("HDEL", info, self.process),
        ]
        if seconds > 0:
            until = int((await self._now() + seconds) * 1_000)
            told.append(("ZADD", dead, until, self.process))
        await self._batch.calls(told)

    async def _now(self) -> float:
        seconds, microseconds = await self._batch.call("TIME")
        return int(seconds) + int(microseconds) / 1e6

    async def known(self) -> tuple[set[str], set[str]]:
        """The processes that live, and those that are dead and not yet buried."""
        leases, _, dead = self._keys
        asked = [("ZRANGE", key, 0, -1) for key in (leases, dead)]
        live, gone = await self._batch.calls(asked)
        return {one.decode() for one in live}, {one.decode() for one in gone}

    async def processes(self) -> list[dict[str, Any]]:
        """What each live process told, by id."""
        found = await self._batch.call("HGETALL", self._keys[1])
        told = [{"id": k.decode()} | orjson.loads(v) for k, v in found.items()]
        return sorted(told, key=lambda process: str(process["id"]))


def new_process_id() -> str:
    """An id for a process: 12 base64url characters, unique."""
    return secrets.token_urlsafe(9)
