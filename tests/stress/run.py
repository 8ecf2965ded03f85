"""Runs clients against a deployment, disturbs it, and reports what was broken."""

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
from tests.stress.deployment import (
    LEASE_SECONDS,
    PROCESSES,
    REDIS_TIMEOUT,
    Deployment,
    ProcessState,
)
from tests.stress.disturbances import Disturbances
from tests.stress.judge import judge
from tests.stress.ledger import STEADY_SECONDS, Ledger, Membership, Outage

CLIENTS = 200
USERS = 120
ROOMS = 20
WARM_SECONDS = 4.0
# How long all clients must agree before the next disturbance.
CALM_SECONDS = 2.0
# The time to agree after an outage: two leases.
CONVERGE_SECONDS = 2 * LEASE_SECONDS
SETTLE_SECONDS = CONVERGE_SECONDS
# A push is refused within this time if Redis is unavailable.
REFUSE_SECONDS = REDIS_TIMEOUT + 1.0
EXPLAINED = 20
TASKS, FILES = 20, 10
MEMORY = 1.25

Say = Callable[[str], None]


@dataclass
class Report:
    """What a run did and found. `broken`: the promises that were not kept."""

    seed: str
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    outages: list[tuple[str, float]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def table(self) -> str:
        """The report as text: one row per number."""
        rows = [
            *(
                (f"agreement after: {kind}", f"{after:.1f} s")
                for kind, after in self.outages
            ),
            *((name, f"{count:,}") for name, count in sorted(self.counts.items())),
            *self.facts.items(),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"  {name:<{width}}  {value:>14}" for name, value in rows]
        return "\n".join(lines)


class Run:
    """One run."""

    def __init__(
        self, folder: Path, seconds: float, seed: str, say: Say, only: str = ""
    ) -> None:
        """`only`: make only disturbances whose names contain this text."""
        self.only = only
        self.ledger = Ledger()
        self.deployment = Deployment(folder, self.ledger)
        self.disturbances = Disturbances(self.deployment, seed)
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
            self.deployment.urls,
            self.ledger,
            f"{self.report.seed} {number}",
        )

    async def go(self) -> Report:
        """Run, and return the report."""
        living: list[asyncio.Task[None]] = []
        try:
            await self.deployment.start()
            self.say(
                f"{PROCESSES} processes, {CLIENTS} clients, seed {self.report.seed}"
            )
            living += [asyncio.create_task(client.run()) for client in self.clients]
            await asyncio.sleep(WARM_SECONDS)
            await self._until_agreed(None)
            before = await self._states()
            await self._disturb()
            after = await self._states()
            await self._quiet()
            self._judge()
            await self._leave(living)
            await self._check_leaks(before, after)
        finally:
            for task in living:
                task.cancel()
            await asyncio.gather(*living, return_exceptions=True)
            self.deployment.end()
        return self.report

    async def _disturb(self) -> None:
        """Make one disturbance after another: every kind once, then again."""
        end = time.monotonic() + self.report.seconds
        kinds: list[str] = []
        while time.monotonic() < end:
            if not kinds:
                kinds = [k for k in self.disturbances.kinds() if self.only in k]
                self._random.shuffle(kinds)
            outage = await self.disturbances.start(kinds.pop())
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
                text = (
                    f"no agreement within {CONVERGE_SECONDS} s after {kind}: {last[:5]}"
                )
                self.report.broken.append(text)
                await self._print_differences()
                break
            await asyncio.sleep(0.1)
            wrong = disagreements(self.clients, self.ledger)
        if outage is not None:
            outage.over = agreed
            self.report.outages.append((outage.kind, agreed - since))
            line = f"{outage.kind}: took {since - outage.start:.1f} s,"
            self._say_at(f"{line} all clients agree {agreed - since:.1f} s later")

    async def _print_differences(self) -> None:
        """Print what Redis, a member and those that see it wrong know of the member."""
        for wrong in disagreements(self.clients, self.ledger)[:EXPLAINED]:
            self.say(f"  {wrong}")
        wrongs = [wrong.split() for wrong in disagreements(self.clients, self.ledger)]
        members = {words[2] for words in wrongs}
        for client in self.clients:
            if client.session in members:
                for room, view in client.views.items():
                    entries = await self.deployment.entries(room, client.session)
                    self.say(f"  {client} {room} {view.membership.joined}: {entries}")
        for client in self.clients:
            for viewer, _, session, *_ in wrongs:
                if client.session == viewer:
                    self._print_story(client, session)

    def _print_story(self, client: Client, session: str) -> None:
        """Print the presence events that a client received of a session."""
        self.say(f"  {client} received about {session}:")
        for view in client.views.values():
            for line in view.story:
                if f'"{session}"' in line:
                    at, event, payload = line.split(" ", 2)
                    content = json.loads(payload)
                    if event == "presence_diff":
                        content = {k: v.get(session) for k, v in content.items()}
                    else:
                        content = content.get(session)
                    self.say(f"    {view.topic} {at} {event} {content}")

    async def _quiet(self) -> None:
        """Stop all actions, and wait until what is on its way arrives."""
        for client in self.clients:
            client.acting = False
        await asyncio.sleep(STEADY_SECONDS)
        await self._until_agreed(None)

    def _judge(self) -> None:
        verdict = judge(self.ledger, SETTLE_SECONDS, REFUSE_SECONDS)
        self.report.counts.update(verdict.counts)
        self.report.broken += verdict.broken + self.deployment.broken
        for client in self.clients:
            self.report.counts.update(client.counts)
        slowest = max(client.slowest for client in self.clients)
        self.report.facts["slowest answer to a push"] = f"{slowest:.2f} s"
        self.report.facts["memberships"] = f"{len(self.ledger.memberships):,}"

    async def _leave(self, living: list[asyncio.Task[None]]) -> None:
        self._say_at("all clients leave")
        await asyncio.gather(*(client.stop() for client in self.clients))
        results = await asyncio.gather(*living, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                self.report.broken.append(f"a client failed: {result!r}")

    async def _states(self) -> list[ProcessState]:
        return list(
            await asyncio.gather(
                *map(self.deployment.state_of, self.deployment.servers)
            )
        )

    async def _check_leaks(
        self, before: list[ProcessState], after: list[ProcessState]
    ) -> None:
        """Check that nothing is left of the clients, and that memory did not grow."""
        left = await self._until_empty()
        keys = await self.deployment.keys_that_stay()
        if keys:
            self.report.broken.append(f"keys were left in Redis: {keys}")
        if dead := await self._until_reaped():
            self.report.broken.append(f"dead processes were left in Redis: {dead}")
        files = FILES + max(state.files - state.sockets for state in before)
        for state in left:
            too_many = state.tasks > TASKS or state.files > files
            if state.sockets or state.rooms or too_many:
                self.report.broken.append(
                    f"a process did not release all it held: {state}"
                )
        first = max(state.rss for state in before)
        last = max(state.rss for state in after)
        if last > first * MEMORY:
            self.report.broken.append(
                f"the memory of a process grew from {first} to {last} bytes"
            )
        self.report.facts["Redis keys left"] = str(len(keys))
        self._report_states(left)
        self.report.facts["memory of a process at the start"] = _mebibytes(first)
        self.report.facts["memory of a process at the end"] = _mebibytes(last)

    def _report_states(self, left: list[ProcessState]) -> None:
        self.report.facts |= {
            "sockets left": str(sum(state.sockets for state in left)),
            "rooms left": str(sum(state.rooms for state in left)),
            "tasks of a process at the end": str(max(state.tasks for state in left)),
            "open files of a process": str(max(state.files for state in left)),
        }

    async def _until_reaped(self) -> list[str]:
        deadline = time.monotonic() + CONVERGE_SECONDS
        while dead := await self.deployment.dead_processes():
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        return dead

    async def _until_empty(self) -> list[ProcessState]:
        deadline = time.monotonic() + CONVERGE_SECONDS
        while True:
            states = await self._states()
            if not any(state.sockets or state.rooms for state in states):
                return states
            if time.monotonic() > deadline:
                return states
            await asyncio.sleep(0.2)

    def _say_at(self, text: str) -> None:
        self.say(f"{time.monotonic() - self._started:6.1f} s  {text}")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def disagreements(clients: list[Client], ledger: Ledger) -> list[str]:
    """The differences between the members of rooms and what clients see.

    A member that just joined or left may be seen or not.
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
    """Whether it is a member; None if that just changed."""
    if membership.ended is not None:
        return False if now - membership.ended > STEADY_SECONDS else None
    return True if now - membership.joined > STEADY_SECONDS else None


@cache
def token(user: str, room: str | None) -> str:
    """A user token, or a room token if `room` is given."""
    if room is None:
        return jwt_tokens.mint_user(user, 3_600)
    return jwt_tokens.mint_room(room, 3_600)
