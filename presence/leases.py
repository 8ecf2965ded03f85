"""Owns the lease of this process, and finds processes whose lease expired.

No clock is shared. A process counts its renewals in Redis. Every other process measures
with its own monotonic clock for how long a count has not changed (`presence.silence`).
It claims a process that was silent for the length of a lease, if its count is still the
same in that step, and then reaps it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from beam import redis
from presence.redis_keys import lease_keys
from presence.silence import Silence

CLAIMED_AT_ONCE = 10
# Stands for all processes that own entries and have no lease in Redis any more.
UNREGISTERED = "*"

_LUA = Path(__file__).parent / "lua"


class Renewal(NamedTuple):
    """What a renewal found.

    `known`: Redis had the lease. If not, it was the first renewal, or the process was
    reaped, or Redis lost its data. `to_reap`: the processes that this one must reap;
    `UNREGISTERED` may be among them.
    """

    known: bool
    to_reap: list[str]


class Leases:
    """The lease of this process, and the leases of all processes in Redis."""

    def __init__(
        self,
        batch: redis.Batch,
        prefix: str,
        seconds: float,
        renew: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds`: the length of a lease. `renew`: the seconds between renewals.

        `clock`: a monotonic clock of this process, in seconds.
        """
        self._keys = lease_keys(prefix)
        self._batch = batch
        self._seconds = seconds
        self._interval = renew
        self._clock = clock
        self._silence = Silence(renew)
        self._renew = redis.Script(batch, (_LUA / "renew.lua").read_text())
        self._claim = redis.Script(batch, (_LUA / "claim_dead_process.lua").read_text())
        self._renewed: float | None = None
        self._info = b"{}"
        self.process = new_process_id()

    async def renew(self, info: dict[str, Any]) -> Renewal:
        """Renew the lease, and find the processes that this one must reap.

        `info`: what `processes` returns of this process, as JSON. Raises
        `beam.redis.Unavailable`; the time of a failed call does not count as silence
        of others.
        """
        began = self._clock()
        first = int(self._renewed is None)
        self._info = orjson.dumps(info)
        try:
            known, renewals, claims = await self._count(first)
        except BaseException:
            self._silence.interrupt()
            raise
        if known or first:
            self._renewed = began
        live, dead = _texts(renewals), _texts(claims)
        self._silence.observe(live | dead, began, self._clock())
        if self.process not in live:
            return Renewal(bool(known), [])
        return Renewal(bool(known), await self._to_reap(live, dead))

    async def _count(self, first: int) -> Any:
        args = [self.process, self._info, first, f"after {self._seconds}"]
        return await self._renew(self._keys, args)

    async def renew_if_due(self) -> None:
        """Renew the lease if that is due, and do nothing else.

        For a process that is still reaping what its last `renew` found. Raises
        `beam.redis.Unavailable`.
        """
        began, process = self._clock(), self.process
        if self._renewed is None or began - self._renewed < self._interval:
            return
        known, *_ = await self._count(0)
        if known and process == self.process:
            self._renewed = began

    async def _to_reap(self, live: dict[str, str], dead: dict[str, str]) -> list[str]:
        """The processes that this one has claimed, before or now."""
        mine = [one for one, claim in dead.items() if _claimer(claim) == self.process]
        due = {
            one: self._silence.of(one).mark
            for one in live | dead
            if one not in mine and one != self.process and self._is_due(one, live)
        }
        pairs = list(due.items())[: max(0, CLAIMED_AT_ONCE - len(mine))]
        if not pairs:
            return mine
        claim = f"by {self.process} {live[self.process]}"
        args = [self.process, claim, *chain.from_iterable(pairs)]
        return mine + [one.decode() for one in await self._claim(self._keys, args)]

    def _is_due(self, process: str, live: dict[str, str]) -> bool:
        mark, silent = self._silence.of(process)
        kind, _, rest = mark.partition(" ")
        if kind == "after":
            return silent >= float(rest)
        if kind == "by" and _claimer(mark) not in live:
            # The process that claimed it is dead.
            return True
        return silent >= self._seconds

    def check(self) -> None:
        """Raises `redis.NotSent` if the lease was not renewed in time.

        Other processes may have reaped this one: entries that it adds under its id
        could stay without an owner.
        """
        if self._renewed is None or self._clock() - self._renewed < self._seconds:
            return
        raise redis.NotSent("this process has not renewed its lease")

    def change_id(self) -> str:
        """Take a new id, since others reap the old one. Returns the old one."""
        former, self.process = self.process, new_process_id()
        self._renewed = None
        return former

    async def remove_claim(self, process: str) -> None:
        """Note that a dead process was reaped."""
        await self._batch.call("HDEL", self._keys.claims, process)

    async def release(self, seconds: float = 0.0) -> None:
        """End the lease. If entries are left, others reap them after `seconds`."""
        keys = self._keys
        if seconds > 0:
            # First: no process would reap one that has neither lease nor claim.
            claim = f"after {seconds:.3f}"
            await self._batch.call("HSET", keys.claims, self.process, claim)
        commands = [
            ("HDEL", key, self.process) for key in (keys.renewals, keys.reports)
        ]
        await self._batch.calls(commands)

    async def live_and_dead(self) -> tuple[set[str], set[str]]:
        """The ids of live processes, and of dead ones that are not yet reaped."""
        keys = (self._keys.renewals, self._keys.claims)
        live, dead = await self._batch.calls([("HKEYS", key) for key in keys])
        return {one.decode() for one in live}, {one.decode() for one in dead}

    async def processes(self) -> list[dict[str, Any]]:
        """What each live process reported with `renew`, and its `id`. Sorted by id."""
        found = await self._batch.call("HGETALL", self._keys.reports)
        reported = [{"id": k.decode()} | orjson.loads(v) for k, v in found.items()]
        return sorted(reported, key=lambda process: str(process["id"]))


def new_process_id() -> str:
    """A unique id for a process: 12 base64url characters."""
    return secrets.token_urlsafe(9)


def _texts(pairs: list[bytes]) -> dict[str, str]:
    """A dictionary of a hash, which a script returns as a flat list."""
    texts = [each.decode() for each in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _claimer(claim: str) -> str:
    """The process that made a claim; "" if no process did."""
    kind, _, rest = claim.partition(" ")
    return rest.partition(" ")[0] if kind == "by" else ""
