"""Presence of several processes against a simple model: whatever happens, in any order.

Processes join, update and lose members, die, stall and wake; diffs get lost or
come late; Redis is flushed; time passes. After quiet, everybody agrees.
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
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from beam import redis
from presence.cluster import Cluster, Watch
from presence.following import Following
from presence.leases import Leases
from presence.shared import RedisTracker
from presence.state import Diff, State, apply, by_ref
from presence.tracker import NotTracked
from tests.processes import RedisServer

TOPIC = "room:model"
LEASE = 10.0
RENEW = 3.0
PROCESSES = 3

T = TypeVar("T")


@dataclass
class Process:
    """A server process: what it holds, and what a client on it has heard."""

    tracker: RedisTracker
    leases: Leases
    cluster: Cluster
    watch: Watch
    refs: dict[str, str] = field(default_factory=dict)
    stalled: bool = False
    doubts: bool = False
    renewed: int = 0
    state: State = field(default_factory=dict)
    since: int = 0
    heard: Following = field(default_factory=Following)
    late: list[Diff] = field(default_factory=list)

    def known(self) -> dict[str, int]:
        """Up to which version changes were delivered."""
        return {} if self.heard.known is None else {TOPIC: self.heard.known}

    def hear(self, change: Diff) -> None:
        """A diff arrives, as the hub hands it over: known ones are passed over."""
        [rest] = self.heard.take([change])
        if rest.version > self.since:
            self.state = apply(self.state, rest)


class PresenceMachine(RuleBasedStateMachine):
    """The cluster; `members` is the model: session -> process."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.prefix = f"model{secrets.token_hex(4)}"
        self.now = 1_000_000
        self.members: dict[str, Process] = {}
        self.numbers = itertools.count()
        self.joins: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        self.disturbed = False
        self.lose_next = self.delay_next = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Something asynchronous, to its end."""
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        async def connect() -> None:
            self.client = redis.connect(self.url)
            self.link = redis.Link()
            self.batch = redis.Batch(self.client, self.link)

        self.run(connect())
        self.processes = [self.begin() for _ in range(PROCESSES)]

    def begin(self) -> Process:
        """A fresh process, with a client that joins to listen."""
        leases = Leases(self.batch, self.prefix, LEASE)
        tracker = RedisTracker(self.batch, self.prefix, lambda: leases.process)
        cluster = Cluster(tracker, leases, self.tell)
        process = Process(tracker, leases, cluster, Watch(tracker))
        self.renew(process)
        self.refresh(process)
        return process

    def refresh(self, process: Process) -> None:
        """Its client is given a fresh state."""
        snapshot = self.run(process.tracker.list(TOPIC))
        process.state, process.since = snapshot.state, snapshot.version
        process.heard.restarts(snapshot.version)

    def tell(self, topic: str, change: Diff) -> None:
        """Publish a diff to every process; it may get lost on its way to one."""
        assert topic == TOPIC
        if not change:
            return
        self.joins.update(list(by_ref(change.joins)))
        self.leaves.update(list(by_ref(change.leaves)))
        lost, self.lose_next = self.lose_next, False
        late, self.delay_next = self.delay_next, False
        for number, process in enumerate(self.processes):
            if late:
                process.late.append(change)
            elif not (lost and number == 0):
                process.hear(change)

    def renew(self, process: Process) -> None:
        """The lease, and a look at what is missing, as the keeper does both."""
        process.leases.clock = self.now
        self.run(process.cluster.renew({}))
        if process.doubts:
            # After any failure, as the keeper does.
            self.run(process.cluster.reconcile())
            process.doubts = False
        process.renewed = self.now
        if self.run(process.watch.behind(process.known)):
            self.refresh(process)

    @rule(which=st.integers(0, PROCESSES - 1), user=st.sampled_from("abc"))
    def join(self, which: int, user: str) -> None:
        process = self.processes[which]
        if process.stalled:
            return
        session = f"{user}:{next(self.numbers)}"
        tracked = self.run(process.tracker.track(TOPIC, session, {"n": 1}, user))
        process.refs[session] = tracked.ref
        self.members[session] = process
        self.tell(TOPIC, tracked.diff)

    def one(self, choice: int) -> tuple[str, Process] | None:
        """A member whose process goes on."""
        here = [(s, p) for s, p in self.members.items() if not p.stalled]
        return here[choice % len(here)] if here else None

    @rule(choice=st.integers(0, 1_000))
    def leave(self, choice: int) -> None:
        if (found := self.one(choice)) is None:
            return
        session, process = found
        del self.members[session]
        ref = process.refs.pop(session)
        self.tell(TOPIC, self.run(process.tracker.untrack(TOPIC, [ref])))

    @rule(choice=st.integers(0, 1_000))
    def update(self, choice: int) -> None:
        if (found := self.one(choice)) is None:
            return
        session, process = found
        ref = process.refs[session]
        try:
            updated = self.run(process.tracker.update(TOPIC, ref, {"n": 2}))
        except NotTracked:
            # Redis lost it, or it was taken for dead: the next renewal mends that.
            assert self.disturbed
            return
        process.refs[session] = updated.ref
        self.tell(TOPIC, updated.diff)

    @rule(choice=st.integers(0, 1_000), moves=st.integers(0, PROCESSES - 1))
    def reconnect_in_time(self, choice: int, moves: int) -> None:
        """The connection is lost, and its session is back within the grace."""
        if (found := self.one(choice)) is None or self.processes[moves].stalled:
            return
        session, process = found
        user, other = session.split(":")[0], self.processes[moves]
        ref = process.refs.pop(session)
        self.run(process.tracker.leave(TOPIC, ref))
        tracked = self.run(other.tracker.track(TOPIC, session, {"n": 1}, user))
        assert tracked.ref == ref or self.disturbed
        self.tell(TOPIC, tracked.diff)
        self.tell(TOPIC, self.run(process.tracker.expire(TOPIC, ref)))
        self.members[session] = other
        other.refs[session] = tracked.ref

    @rule(choice=st.integers(0, 1_000))
    def never_come_back(self, choice: int) -> None:
        """The connection is lost, and the grace period ends."""
        if (found := self.one(choice)) is None:
            return
        session, process = found
        del self.members[session]
        ref = process.refs.pop(session)
        self.run(process.tracker.leave(TOPIC, ref))
        self.tell(TOPIC, self.run(process.tracker.expire(TOPIC, ref)))

    @rule(which=st.integers(0, PROCESSES - 1))
    def kill(self, which: int) -> None:
        dead = self.processes[which]
        self.members = {s: p for s, p in self.members.items() if p is not dead}
        self.processes[which] = self.begin()

    @rule(which=st.integers(0, PROCESSES - 1))
    def stall(self, which: int) -> None:
        self.processes[which].stalled = True

    @rule(which=st.integers(0, PROCESSES - 1))
    def wake(self, which: int) -> None:
        process = self.processes[which]
        if process.stalled:
            process.stalled = False
            self.disturbed = True
            self.renew(process)

    @rule(which=st.integers(0, PROCESSES - 1))
    def lose_the_answer_to_a_renewal(self, which: int) -> None:
        """It was sent and done; the process knows only that it failed."""
        process = self.processes[which]
        process.leases.clock = self.now
        self.run(process.leases.beat({}))
        process.doubts = self.disturbed = True

    @rule(seconds=st.sampled_from([1.0, RENEW, LEASE + 1]))
    def time_passes(self, seconds: float) -> None:
        """Live processes renew as they should on the way."""
        end = self.now + int(seconds * 1_000)
        while self.now < end:
            self.now = min(end, self.now + int(RENEW * 1_000))
            for process in self.processes:
                if not process.stalled:
                    self.renew(process)

    @rule()
    def flush(self) -> None:
        self.disturbed = True

        async def forget() -> None:
            keys = [key async for key in self.client.scan_iter(f"{self.prefix}:*")]
            if keys:
                await self.client.delete(*keys)

        self.run(forget())

    @rule()
    def lose_a_diff(self) -> None:
        self.lose_next = True

    @rule()
    def delay_a_diff(self) -> None:
        self.delay_next = True

    @rule(which=st.integers(0, PROCESSES - 1))
    def hear_what_was_delayed(self, which: int) -> None:
        process = self.processes[which]
        late, process.late = process.late, []
        for change in late:
            process.hear(change)

    @precondition(lambda self: not self.disturbed)
    @invariant()
    def nobody_joins_or_leaves_twice(self) -> None:
        assert not [ref for ref, count in self.joins.items() if count > 1]
        assert not [ref for ref, count in self.leaves.items() if count > 1]

    def quiet(self) -> None:
        """Everybody wakes, and enough time passes for all that is due."""
        for number, process in enumerate(self.processes):
            process.stalled = False
            self.hear_what_was_delayed(number)
        self.disturbed = True
        for _ in range(4):
            self.time_passes(LEASE + 1)

    def teardown(self) -> None:
        try:
            if hasattr(self, "processes"):
                self.quiet()
                self.agree()
        finally:
            if hasattr(self, "client"):
                self.run(self.client.aclose())
            self.loop.close()

    def agree(self) -> None:
        """The laws."""
        expected = {p.refs[s]: s for s, p in self.members.items()}
        [size] = self.run(self.processes[0].tracker.sizes([TOPIC]))
        users = {session.split(":")[0] for session in self.members}
        assert tuple(size) == (len(self.members), len(users))
        for process in self.processes:
            listed = by_ref(self.run(process.tracker.list(TOPIC)).state)
            assert {ref: key for ref, (key, _) in listed.items()} == expected
            assert by_ref(process.state) == listed
        told = self.run(self.processes[0].leases.processes())
        assert len(told) == PROCESSES


@pytest.mark.redis
def test_after_quiet_everybody_agrees(shared_redis: RedisServer) -> None:
    PresenceMachine.url = shared_redis.url

    run_state_machine_as_test(
        PresenceMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
