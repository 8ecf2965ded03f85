"""The model that presence of several processes is compared with, and its processes."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
)

from beam import redis
from presence.cluster import Cluster
from presence.leases import Leases
from presence.missed_changes import MissedChanges
from presence.redis_tracker import RedisTracker
from presence.state import Diff, State, apply, by_ref
from presence.version_log import VersionLog
from tests.processes import RedisServer

TOPIC = "room:model"
LEASE = 10.0
RENEW = 3.0
TICK = 1.0
PROCESSES = 3

T = TypeVar("T")


@dataclass
class Process:
    """A server process: what it holds, and what a client on it received."""

    batch: redis.Batch
    link: redis.Link
    tracker: RedisTracker
    leases: Leases
    cluster: Cluster
    missed: MissedChanges
    refs: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    # It was stopped, and has not renewed since.
    stopped_since_renewal: bool = False
    uncertain: bool = False
    due: float = 0.0
    pause: float = 0.0
    state: State = field(default_factory=dict)
    since: int = 0
    log: VersionLog = field(default_factory=VersionLog)
    late: list[Diff] = field(default_factory=list)

    def known(self) -> dict[str, int]:
        """The version up to which all changes were delivered."""
        return {} if self.log.known is None else {TOPIC: self.log.known}

    def latest(self, _: str) -> int:
        """The highest version that was delivered."""
        return self.log.latest

    def receive(self, change: Diff) -> None:
        """A diff arrives, and is filtered as the hub does it."""
        [rest] = self.log.add([change])
        if rest.version > self.since:
            self.state = apply(self.state, rest)


class Model(RuleBasedStateMachine):
    """The processes. `members` is the model: session -> process."""

    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.prefix = f"model{secrets.token_hex(4)}"
        self.now = 0.0
        self.refused = ""
        self.members: dict[str, Process] = {}
        self.numbers = itertools.count()
        self.pauses = itertools.cycle([RENEW, TICK, 2 * TICK])
        self.joins: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        self.disturbed = False
        self.lose_next = self.delay_next = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine."""
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        async def connect() -> None:
            self.client = redis.connect(self.server.url)

        self.run(connect())
        self.processes = [self.start_process() for _ in range(PROCESSES)]

    def start_process(self) -> Process:
        """A new process, with a client that joins and receives diffs."""

        async def connect() -> tuple[redis.Batch, redis.Link]:
            link = redis.Link()
            return redis.Batch(self.client, link), link

        batch, link = self.run(connect())
        leases = Leases(batch, self.prefix, LEASE, RENEW, lambda: self.now)
        tracker = RedisTracker(batch, self.prefix, lambda: leases.process, leases.check)
        cluster = Cluster(tracker, leases, self.publish)
        process = Process(batch, link, tracker, leases, cluster, MissedChanges(tracker))
        process.pause = next(self.pauses)
        process.uncertain = True
        self.renew(process)
        return process

    @staticmethod
    async def fetch(process: Process) -> None:
        """Give the client of a process a new state."""
        snapshot = await process.tracker.list(TOPIC)
        process.state, process.since = snapshot.state, snapshot.version
        process.log.restart_at(snapshot.version)

    def publish(self, topic: str, change: Diff) -> None:
        """Publish a diff to every process. It may be lost for one, or late for all."""
        assert topic == TOPIC
        if not change:
            return
        self.joins.update(list(by_ref(change.joins)))
        self.leaves.update(list(by_ref(change.leaves)))
        self.check_leaves(change)
        lost, self.lose_next = self.lose_next, False
        late, self.delay_next = self.delay_next, False
        for number, process in enumerate(self.processes):
            if late:
                process.late.append(change)
            elif not (lost and number == 0):
                process.receive(change)

    def check_leaves(self, change: Diff) -> None:
        """No diff reports a member as gone whose process was never stopped."""
        for ref, (session, _) in by_ref(change.leaves).items():
            process = self.members.get(session)
            if process is not None and process.refs.get(session) == ref:
                assert process.stopped_since_renewal

    def renew(self, process: Process) -> None:
        """Renew, and look for missed changes, as `rooms.runtime` does.

        A failed turn is repeated after some seconds, at another time in each process.
        """
        process.due = self.now + process.pause
        try:
            self.run(self.renew_and_check(process))
        except redis.Unavailable:
            self.was_refused(process)

    async def renew_and_check(self, process: Process) -> None:
        if not process.link.up:
            if not await process.batch.probe():
                return
            process.link.answered()
        await process.cluster.renew({})
        process.stopped_since_renewal = False
        if process.uncertain:
            # After any failure, as `rooms.runtime` does.
            await process.cluster.reconcile()
            await self.fetch(process)
            process.uncertain = False
        process.due = self.now + RENEW
        if await process.missed.find(process.known, process.latest):
            await self.fetch(process)

    def attempt(self, process: Process, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of a member's call; None if Redis refuses it."""
        try:
            return self.run(work)
        except redis.Unavailable:
            self.was_refused(process)
            return None

    def was_refused(self, process: Process) -> None:
        """A call failed: Redis refuses writes, or the process has not renewed since."""
        assert self.refused or not process.link.up
        process.uncertain = True

    def a_member(self, choice: int) -> tuple[str, Process] | None:
        """A member whose process is not stopped."""
        here = [(s, p) for s, p in self.members.items() if not p.stopped]
        return here[choice % len(here)] if here else None

    def expire(self, process: Process, ref: str) -> None:
        """The grace period ends, in the process in which it began."""
        if diff := self.attempt(process, process.tracker.expire(TOPIC, ref)):
            self.publish(TOPIC, diff)

    def operate(self, command: tuple[Any, ...]) -> None:
        """Run a command of an operator."""

        async def execute() -> None:
            client: Any = self.client
            await client.execute_command(*command)

        self.run(execute())

    def check_agreement(self) -> None:
        """Check that every process, Redis and the model agree."""
        expected = {p.refs[s]: s for s, p in self.members.items()}
        [size] = self.run(self.processes[0].tracker.sizes([TOPIC]))
        users = {session.split(":")[0] for session in self.members}
        assert tuple(size) == (len(self.members), len(users))
        for process in self.processes:
            listed = by_ref(self.run(process.tracker.list(TOPIC)).state)
            assert {ref: key for ref, (key, _) in listed.items()} == expected
            assert by_ref(process.state) == listed
        reported = self.run(self.processes[0].leases.processes())
        assert len(reported) == PROCESSES
