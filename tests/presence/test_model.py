"""Presence of several processes against a simple model, with failures in any order.

Processes join, update and lose members, die, stop and continue; renewals fail; diffs
are lost or arrive late; Redis is flushed, refuses writes, and its clock jumps. No
connected member is ever reported as gone. After a quiet time, all processes agree.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as limits
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django.fixtures import Settings

from beam import redis
from beam.redis.refusals import ADVICE
from presence.cluster import Cluster
from presence.leases import Leases
from presence.missed_changes import MissedChanges
from presence.redis_tracker import RedisTracker
from presence.state import Diff, State, apply, by_ref
from presence.tracker import NotTracked
from presence.version_log import VersionLog
from tests.processes import RedisServer, jumping_redis

TOPIC = "room:model"
LEASE = 10.0
RENEW = 3.0
TICK = 1.0
PROCESSES = 3
# Commands that make Redis refuse writes, and commands that end that.
REFUSALS = {
    "OOM": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "READONLY": (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", 1),
        ("CONFIG", "SET", "min-replicas-to-write", 0),
    ),
}

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


class PresenceMachine(RuleBasedStateMachine):
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

    @rule(which=st.integers(0, PROCESSES - 1), user=st.sampled_from("abc"))
    def join(self, which: int, user: str) -> None:
        process = self.processes[which]
        if process.stopped:
            return
        session = f"{user}:{next(self.numbers)}"
        work = process.tracker.track(TOPIC, session, {"n": 1}, user)
        if (tracked := self.attempt(process, work)) is None:
            return
        process.refs[session] = tracked.ref
        self.members[session] = process
        self.publish(TOPIC, tracked.diff)

    def a_member(self, choice: int) -> tuple[str, Process] | None:
        """A member whose process is not stopped."""
        here = [(s, p) for s, p in self.members.items() if not p.stopped]
        return here[choice % len(here)] if here else None

    @rule(choice=st.integers(0, 1_000))
    def leave(self, choice: int) -> None:
        if (found := self.a_member(choice)) is None:
            return
        session, process = found
        del self.members[session]
        ref = process.refs.pop(session)
        if diff := self.attempt(process, process.tracker.untrack(TOPIC, [ref])):
            self.publish(TOPIC, diff)

    @rule(choice=st.integers(0, 1_000))
    def update(self, choice: int) -> None:
        if (found := self.a_member(choice)) is None:
            return
        session, process = found
        ref = process.refs[session]
        try:
            work = process.tracker.update(TOPIC, ref, {"n": next(self.numbers)})
            updated = self.attempt(process, work)
        except NotTracked:
            # Redis lost the entry, or it was reaped: the next renewal restores it.
            assert self.disturbed
            return
        if updated is None:
            return
        process.refs[session] = updated.ref
        self.publish(TOPIC, updated.diff)

    @rule(choice=st.integers(0, 1_000), moves=st.integers(0, PROCESSES - 1))
    def reconnect_in_time(self, choice: int, moves: int) -> None:
        """A connection is lost, and its session joins again in its grace period."""
        if (found := self.a_member(choice)) is None or self.processes[moves].stopped:
            return
        session, process = found
        user, other = session.split(":")[0], self.processes[moves]
        ref = process.refs.pop(session)
        del self.members[session]
        begun = self.attempt(process, process.tracker.leave(TOPIC, ref))
        work = other.tracker.track(TOPIC, session, {"n": 1}, user)
        if (tracked := self.attempt(other, work)) is not None:
            assert tracked.ref == ref or begun is None or self.disturbed
            self.publish(TOPIC, tracked.diff)
            self.members[session] = other
            other.refs[session] = tracked.ref
        if begun is not None:
            self.expire(process, ref)

    def expire(self, process: Process, ref: str) -> None:
        """The grace period ends, in the process in which it began."""
        if diff := self.attempt(process, process.tracker.expire(TOPIC, ref)):
            self.publish(TOPIC, diff)

    @rule(choice=st.integers(0, 1_000))
    def never_come_back(self, choice: int) -> None:
        """A connection is lost, and its grace period ends."""
        if (found := self.a_member(choice)) is None:
            return
        session, process = found
        del self.members[session]
        ref = process.refs.pop(session)
        begun = self.attempt(process, process.tracker.leave(TOPIC, ref))
        if begun is not None:
            self.expire(process, ref)

    @rule(which=st.integers(0, PROCESSES - 1))
    def kill(self, which: int) -> None:
        dead = self.processes[which]
        self.members = {s: p for s, p in self.members.items() if p is not dead}
        self.processes[which] = self.start_process()

    @rule(which=st.integers(0, PROCESSES - 1))
    def stop(self, which: int) -> None:
        process = self.processes[which]
        process.stopped = process.stopped_since_renewal = True

    @rule(which=st.integers(0, PROCESSES - 1))
    def resume(self, which: int) -> None:
        process = self.processes[which]
        if process.stopped:
            process.stopped = False
            self.disturbed = True
            self.renew(process)

    @rule(which=st.integers(0, PROCESSES - 1))
    def lose_the_answer_to_a_renewal(self, which: int) -> None:
        """Redis counted it, and the process knows only that it failed."""
        process = self.processes[which]
        if process.stopped or not process.link.up:
            return
        self.attempt(process, process.leases.renew({}))
        process.uncertain = self.disturbed = True

    @rule(which=st.integers(0, PROCESSES - 1))
    def fail_a_renewal(self, which: int) -> None:
        """Redis does not get it; the next one is in time."""
        process = self.processes[which]
        if process.link.up and not process.stopped:
            process.link.failed(TimeoutError())
            with pytest.raises(redis.Unavailable):
                self.run(process.leases.renew({}))
            process.uncertain = True

    @precondition(lambda self: not self.refused)
    @rule(kind=st.sampled_from(sorted(REFUSALS)))
    def refuse(self, kind: str) -> None:
        """Redis answers reads, and refuses all writes."""
        assert kind in ADVICE
        self.refused = kind
        self.disturbed = True
        self.operate(REFUSALS[kind][0])

    @precondition(lambda self: self.refused)
    @rule(first=st.integers(0, PROCESSES - 1))
    def accept(self, first: int) -> None:
        """One process notices at once, the others as late as possible."""
        kind, self.refused = self.refused, ""
        self.operate(REFUSALS[kind][1])
        for number, process in enumerate(self.processes):
            process.due = self.now + (0 if number == first else RENEW + TICK)

    def operate(self, command: tuple[Any, ...]) -> None:
        """Run a command of an operator."""

        async def execute() -> None:
            client: Any = self.client
            await client.execute_command(*command)

        self.run(execute())

    @rule(seconds=st.sampled_from([-60, 0, 12, 60]))
    def jump(self, seconds: int) -> None:
        """From now on, Redis's clock differs by this much from the true time."""
        self.server.jump(seconds)

    @rule(seconds=st.sampled_from([1.0, RENEW, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        """Processes that are not stopped renew in time."""
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for process in self.processes:
                if not process.stopped and self.now >= process.due:
                    self.renew(process)

    @precondition(lambda self: not self.refused)
    @rule()
    def flush(self) -> None:
        self.disturbed = True

        async def delete_keys() -> None:
            keys = [key async for key in self.client.scan_iter(f"{self.prefix}:*")]
            if keys:
                await self.client.delete(*keys)

        self.run(delete_keys())

    @rule()
    def lose_a_diff(self) -> None:
        self.lose_next = True

    @rule()
    def delay_a_diff(self) -> None:
        self.delay_next = True

    @rule(which=st.integers(0, PROCESSES - 1))
    def receive_delayed_diffs(self, which: int) -> None:
        process = self.processes[which]
        late, process.late = process.late, []
        for change in late:
            process.receive(change)

    @precondition(lambda self: not self.disturbed)
    @invariant()
    def no_entry_joins_or_leaves_twice(self) -> None:
        assert not [ref for ref, count in self.joins.items() if count > 1]
        assert not [ref for ref, count in self.leaves.items() if count > 1]

    def quiet(self) -> None:
        """All processes continue, and time passes until all that is due is done."""
        if self.refused:
            self.accept(0)
        for number, process in enumerate(self.processes):
            process.stopped = False
            self.receive_delayed_diffs(number)
        self.disturbed = True
        for _ in range(4):
            self.time_passes(LEASE + 1)

    def teardown(self) -> None:
        try:
            if hasattr(self, "processes"):
                self.quiet()
                self.check_agreement()
        finally:
            if hasattr(self, "client"):
                self.run(self.client.aclose())
            self.loop.close()

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


@pytest.mark.redis
def test_all_processes_agree_after_a_quiet_time(settings: Settings) -> None:
    with jumping_redis() as server:
        PresenceMachine.server = server
        settings.BEAM = settings.BEAM | {"redis_url": server.url}
        run_state_machine_as_test(
            PresenceMachine,
            settings=limits(
                max_examples=60,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
