"""Presence of several processes against a simple model, with failures in any order.

Processes join, update and lose members, die, stop and continue; renewals fail; diffs
are lost or arrive late; Redis is flushed, refuses writes, and its clock jumps. No
connected member is ever reported as gone. After a quiet time, all processes agree.
"""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as limits
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django.fixtures import Settings

from beam import redis
from beam.redis.refusals import ADVICE
from presence.tracker import NotTracked
from tests.presence.model import LEASE, PROCESSES, RENEW, TICK, TOPIC, Model
from tests.processes import jumping_redis

# Commands that make Redis refuse writes, and commands that end that.
REFUSALS = {
    "OOM": (("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "READONLY": (("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", 1),
        ("CONFIG", "SET", "min-replicas-to-write", 0),
    ),
}


class PresenceMachine(Model):
    """What happens to the processes, in any order."""

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
