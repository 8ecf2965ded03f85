"""Owns which processes live: each renews a lease, and others claim the dead.

No clock is shared. A process counts its renewals in Redis, and every other one
observes by its own monotonic clock how long a count has not changed
(`presence.silence`). It claims a process that was silent for the length of a lease,
in one step with a comparison: only if the count is still the one that it saw.
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
from presence.silence import Silence

CLAIMED_AT_ONCE = 10
# Among the dead: all that hold entries and are not known any more.
UNREGISTERED = "*"

_LUA = Path(__file__).parent / "lua"


class Renewal(NamedTuple):
    """What a renewal found.

    `known`: the lease was there; else the process was reaped, or Redis lost its
    data, or it is the first renewal. `to_reap`: processes that are this one's to
    reap; `UNREGISTERED` too.
    """

    known: bool
    to_reap: list[str]


class Leases:
    """This process's lease, and the registry of all processes."""

    def __init__(
        self,
        batch: redis.Batch,
        prefix: str,
        seconds: float,
        renew: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds`: how long a process may be silent. `renew`: how long it should.

        `clock`: seconds of this process's own, which only go on.
        """
        stem = f"{prefix}:{{processes}}"
        self._keys = (f"{stem}:beats", f"{stem}:about", f"{stem}:claims")
        self._batch = batch
        self._seconds = seconds
        self._interval = renew
        self._clock = clock
        self._silence = Silence(renew)
        self._renew = redis.Script(batch, (_LUA / "renew.lua").read_text())
        self._claim = redis.Script(batch, (_LUA / "claim.lua").read_text())
        self._renewed: float | None = None
        self._info = b"{}"
        self.process = new_process_id()

    async def renew(self, info: dict[str, Any]) -> Renewal:
        """Renew the lease, report about this process, and look at the others.

        Raises `RedisError` or `OSError`; what was not seen then counts against
        nobody.
        """
        began = self._clock()
        first = int(self._renewed is None)
        self._info = orjson.dumps(info)
        try:
            known, beats, claims = await self._count(first)
        except BaseException:
            self._silence.interrupt()
            raise
        if known or first:
            self._renewed = began
        alive, dead = _texts(beats), _texts(claims)
        self._silence.observe(alive | dead, began, self._clock())
        if self.process not in alive:
            return Renewal(bool(known), [])
        return Renewal(bool(known), await self._to_reap(alive, dead))

    async def _count(self, first: int) -> Any:
        args = [self.process, self._info, first, f"after {self._seconds}"]
        return await self._renew(self._keys, args)

    async def renew_if_due(self) -> None:
        """Renew the lease if that is due, and do nothing else.

        For a process whose next `renew` comes late since it still does what the last
        one found. Raises `RedisError` or `OSError`.
        """
        began, process = self._clock(), self.process
        if self._renewed is None or began - self._renewed < self._interval:
            return
        known, *_ = await self._count(0)
        if known and process == self.process:
            self._renewed = began

    async def _to_reap(self, alive: dict[str, str], dead: dict[str, str]) -> list[str]:
        """The processes to reap: those claimed before, and those claimable now."""
        mine = [one for one, claim in dead.items() if _claimer(claim) == self.process]
        due = {
            one: self._silence.of(one).mark
            for one in alive | dead
            if one not in mine and one != self.process and self._is_due(one, alive)
        }
        pairs = list(due.items())[: max(0, CLAIMED_AT_ONCE - len(mine))]
        if not pairs:
            return mine
        claim = f"by {self.process} {alive[self.process]}"
        args = [self.process, claim, *chain.from_iterable(pairs)]
        return mine + [one.decode() for one in await self._claim(self._keys, args)]

    def _is_due(self, process: str, alive: dict[str, str]) -> bool:
        mark, silent = self._silence.of(process)
        kind, _, rest = mark.partition(" ")
        if kind == "after":
            return silent >= float(rest)
        if kind == "by" and _claimer(mark) not in alive:
            # Its reaper is dead.
            return True
        return silent >= self._seconds

    def check(self) -> None:
        """Raises `redis.Away` if others may hold this process for dead by now.

        What it would write under its id could belong to nobody.
        """
        if self._renewed is None or self._clock() - self._renewed < self._seconds:
            return
        raise redis.Away("this process has not renewed its lease")

    def change_id(self) -> str:
        """Go on under a new id: the old one is another's to reap. The old one."""
        former, self.process = self.process, new_process_id()
        self._renewed = None
        return former

    async def remove_claim(self, process: str) -> None:
        """A dead process was reaped."""
        await self._batch.call("HDEL", self._keys[2], process)

    async def release(self, seconds: float = 0.0) -> None:
        """Give up the lease; what is left is to be reaped after some seconds."""
        beats, about, claims = self._keys
        if seconds > 0:
            # First: a process that is not known and not claimed is forgotten.
            claim = f"after {seconds:.3f}"
            await self._batch.call("HSET", claims, self.process, claim)
        commands = [("HDEL", key, self.process) for key in (beats, about)]
        await self._batch.calls(commands)

    async def live_and_dead(self) -> tuple[set[str], set[str]]:
        """The processes that live, and those that are dead and not yet buried."""
        beats, _, claims = self._keys
        asked = [("HKEYS", key) for key in (beats, claims)]
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


def _texts(pairs: list[bytes]) -> dict[str, str]:
    """A hash as a script returns it."""
    texts = [each.decode() for each in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _claimer(claim: str) -> str:
    """The process that reaps, of a claim; "" for a claim of nobody."""
    kind, _, rest = claim.partition(" ")
    return rest.partition(" ")[0] if kind == "by" else ""
