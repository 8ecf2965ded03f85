"""A stress run: failures chosen by a seed, clients, and the check of the promises."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rooms.auth import jwt_tokens
from tests.stress.client import Client
from tests.stress.deployment import LEASE_SECONDS, REDIS_TIMEOUT, Look, World
from tests.stress.ledger import STEADY_SECONDS, Ledger, Membership, Outage, judge

CLIENTS = 200
USERS = 120
ROOMS = 20
WARM_SECONDS = 4.0
# For how long clients must agree.
CALM_SECONDS = 2.0
# After an outage: two leases for presence.
CONVERGE_SECONDS = 2 * LEASE_SECONDS
SETTLE_SECONDS = CONVERGE_SECONDS
# A push during an outage of Redis is refused by then.
REFUSE_SECONDS = REDIS_TIMEOUT + 1.0
EXPLAINED = 20
TASKS, FILES = 20, 10
MEMORY = 1.25

Say = Callable[[str], None]


@dataclass
class Report:
    """What a run did and found. It is good if `broken` is empty."""

    seed: str
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[str, float]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def table(self) -> str:
        """A table for people: one value in each row."""
        rows = [
            *((f"{kind}", f"{after:.1f} s to agree") for kind, after in self.outages),
            *((name, f"{count:,}") for name, count in sorted(self.counts.items())),
            *self.facts.items(),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"  {name:<{width}}  {value:>14}" for name, value in rows]
        return "\n".join(lines)


class Run:
    """One run of a world."""

    def __init__(
        self, folder: Path, seconds: float, seed: str, say: Say, only: str = ""
    ) -> None:
        """`only`: make no disturbances but those that have this text in their names."""
        self.only = only
        self.ledger = Ledger()
        self.world = World(folder, self.ledger, seed)
        self.report = Report(seed, seconds)
        self.say = say
        self._random = random.Random(seed)
        self._started = time.monotonic()
        self.clients = [self._client(number) for number in range(CLIENTS)]

    def _client(self, number: int) -> Client:
        rooms = self._random.sample(range(ROOMS), k=1 + (number % 4 == 0))
        return Client(
            f"u{number % USERS}:s{number}",
            [f"room:stress {room}" for room in rooms],
            token,
            self.world.places,
            self.ledger,
            f"{self.report.seed} {number}",
        )

    async def go(self) -> Report:
        """The whole run."""
        living: list[asyncio.Task[None]] = []
        try:
            await self.world.start()
            self.say(f"three processes, {CLIENTS} clients, seed {self.report.seed}")
            living += [asyncio.create_task(client.run()) for client in self.clients]
            await asyncio.sleep(WARM_SECONDS)
            await self._until_agreed(None)
            before = await self._looks()
            await self._disturb()
            after = await self._looks()
            await self._quiet()
            self._judge()
            await self._leave(living)
            await self._look_for_leaks(before, after)
        finally:
            for task in living:
                task.cancel()
            await asyncio.gather(*living, return_exceptions=True)
            self.world.end()
        return self.report

    async def _disturb(self) -> None:
        """One failure after another; each kind once before any is repeated."""
        end = time.monotonic() + self.report.seconds
        kinds: list[str] = []
        while time.monotonic() < end:
            if not kinds:
                kinds = [k for k in self.world.disturbances() if self.only in k]
                self._random.shuffle(kinds)
            outage = await self.world.disturb(kinds.pop())
            await self._until_agreed(outage)

    async def _until_agreed(self, outage: Outage | None) -> None:
        """Wait until every client sees exactly the members, for `CALM_SECONDS`."""
        since = agreed = time.monotonic()
        wrong = last = disagreements(self.clients, self.ledger)
        while time.monotonic() - agreed < CALM_SECONDS or wrong:
            if wrong:
                last, agreed = wrong, time.monotonic()
            if agreed - since > CONVERGE_SECONDS:
                kind = outage.kind if outage else "the start"
                text = f"no agreement {CONVERGE_SECONDS} s after {kind}: {last[:5]}"
                self.report.broken.append(text)
                await self._explain()
                break
            await asyncio.sleep(0.1)
            wrong = disagreements(self.clients, self.ledger)
        if outage is not None:
            outage.over = agreed
            self.report.outages.append((outage.kind, agreed - since))
            line = f"{outage.kind}: {since - outage.start:.1f} s,"
            self._log(f"{line} all agree after {agreed - since:.1f} s")

    async def _explain(self) -> None:
        """Report what Redis, a member and its viewers hold."""
        for wrong in disagreements(self.clients, self.ledger)[:EXPLAINED]:
            self.say(f"  {wrong}")
        wrongs = [wrong.split() for wrong in disagreements(self.clients, self.ledger)]
        members = {words[2] for words in wrongs}
        for client in self.clients:
            if client.session in members:
                for room, view in client.views.items():
                    entries = await self.world.entries(room, client.session)
                    self.say(f"  {client} {room} {view.membership.joined}: {entries}")
        for client in self.clients:
            for viewer, _, session, *_ in wrongs:
                if client.session == viewer:
                    self._show_presence(client, session)

    def _show_presence(self, client: Client, session: str) -> None:
        """Report the presence events of a session that a client received."""
        self.say(f"  {client} received about {session}:")
        for view in client.views.values():
            for line in view.story:
                if f'"{session}"' in line:
                    at, event, payload = line.split(" ", 2)
                    about = json.loads(payload)
                    if event == "presence_diff":
                        about = {k: v.get(session) for k, v in about.items()}
                    else:
                        about = about.get(session)
                    self.say(f"    {view.topic} {at} {event} {about}")

    async def _quiet(self) -> None:
        """No client acts; messages on their way arrive."""
        for client in self.clients:
            client.acting = False
        await asyncio.sleep(STEADY_SECONDS)
        await self._until_agreed(None)

    def _judge(self) -> None:
        verdict = judge(self.ledger, SETTLE_SECONDS, REFUSE_SECONDS)
        self.report.counts.update(verdict.counts)
        self.report.broken += verdict.broken + self.world.broken
        for client in self.clients:
            self.report.counts.update(client.counts)
        slowest = max(client.slowest for client in self.clients)
        self.report.facts["slowest answer to a push"] = f"{slowest:.2f} s"
        self.report.facts["memberships"] = f"{len(self.ledger.memberships):,}"

    async def _leave(self, living: list[asyncio.Task[None]]) -> None:
        self._log("all clients leave")
        await asyncio.gather(*(client.stop() for client in self.clients))
        results = await asyncio.gather(*living, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self.report.broken.append(f"a client failed: {result!r}")

    async def _looks(self) -> list[Look]:
        return list(await asyncio.gather(*map(self.world.look, self.world.servers)))

    async def _look_for_leaks(self, before: list[Look], after: list[Look]) -> None:
        """Nothing of 200 clients is left, and memory did not grow."""
        left = await self._until_empty()
        keys = await self.world.keys_that_stay()
        if keys:
            self.report.broken.append(f"keys left in Redis: {keys}")
        if dead := await self._until_reaped():
            self.report.broken.append(f"dead processes left in Redis: {dead}")
        files = FILES + max(look.files - look.sockets for look in before)
        for look in left:
            if look.sockets or look.rooms or look.tasks > TASKS or look.files > files:
                self.report.broken.append(f"left in a process: {look}")
        first = max(look.rss for look in before)
        last = max(look.rss for look in after)
        if last > first * MEMORY:
            self.report.broken.append(f"memory grew from {first} to {last}")
        self.report.facts |= {
            "Redis keys left": str(len(keys)),
            "sockets left": str(sum(look.sockets for look in left)),
            "rooms left": str(sum(look.rooms for look in left)),
            "tasks left in a process": str(max(look.tasks for look in left)),
            "files open in a process": str(max(look.files for look in left)),
            "memory of a process at first": f"{first / 2**20:.1f} MiB",
            "memory of a process at last": f"{last / 2**20:.1f} MiB",
        }

    async def _until_reaped(self) -> list[str]:
        deadline = time.monotonic() + CONVERGE_SECONDS
        while dead := await self.world.dead_processes():
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return dead

    async def _until_empty(self) -> list[Look]:
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            looks = await self._looks()
            if not any(look.sockets or look.rooms for look in looks):
                return looks
            if time.monotonic() > deadline:
                return looks
            await asyncio.sleep(0.2)

    def _log(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._started:6.1f} s  {text}")


def disagreements(clients: list[Client], ledger: Ledger) -> list[str]:
    """The places where a client's view of a room differs from its members.

    Members that joined or left recently may or may not be seen.
    """
    now = time.monotonic()
    here: dict[str, dict[str, bool | None]] = {}
    for (room, session), membership in ledger.latest.items():
        here.setdefault(room, {})[session] = _is_here(membership, now)
    wrong = []
    for client in clients:
        for room, view in client.views.items():
            if now - view.membership.joined < STEADY_SECONDS:
                continue
            seen = view.sessions()
            for session in seen.keys() | here[room].keys():
                expected = here[room].get(session, False)
                if expected is not None and seen[session] != expected:
                    wrong.append(
                        f"{client.session} sees {session} {seen[session]} times"
                        f" in {room}, not {int(expected)}"
                    )
    return wrong


def _is_here(membership: Membership, now: float) -> bool | None:
    """None: changed recently."""
    if membership.ended is not None:
        return False if now - membership.ended > STEADY_SECONDS else None
    return True if now - membership.joined > STEADY_SECONDS else None


@cache
def token(user: str, room: str | None) -> str:
    """A user's token, or one for a room."""
    if room is None:
        return jwt_tokens.mint_user(user, 3_600)
    return jwt_tokens.mint_room(room, 3_600)
