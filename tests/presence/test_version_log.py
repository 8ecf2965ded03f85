"""Changes in any order, and which of them were delivered."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from presence.state import Diff, State, apply, by_ref
from presence.version_log import MAX_KEPT, VersionLog


def join(ref: str, version: int) -> Diff:
    """A change: one meta joins."""
    return Diff({f"user {ref}": {"metas": [{"phx_ref": ref}]}}, {}, version)


def leave(ref: str, version: int) -> Diff:
    """A change: one meta leaves."""
    return Diff({}, join(ref, version).joins, version)


def empty(*versions: int) -> list[Diff]:
    """Changes without metas."""
    return [Diff(version=version) for version in versions]


def test_no_version_is_known_until_a_state_is_given() -> None:
    log = VersionLog()
    log.add(empty(7))

    assert (log.known, log.latest) == (None, 7)

    log.start_at(6)
    assert (log.known, log.ahead) == (7, set())


def test_a_missing_version_is_missing_until_it_is_added() -> None:
    log = VersionLog()
    log.start_at(5)
    log.add(empty(6, 8, 9))

    assert (log.known, log.latest) == (6, 9)
    log.add(empty(7))
    assert (log.known, log.latest) == (9, 9)


def test_a_new_member_does_not_hide_what_the_others_missed() -> None:
    log = VersionLog()
    log.start_at(5)
    log.add(empty(7))

    log.start_at(7)

    assert log.known == 5


def test_a_restart_clears_all_missing_versions() -> None:
    log = VersionLog()
    log.start_at(5)
    log.add(empty(7, 9, 10))

    log.restart_at(8)

    # Redis has later versions: `missed_changes` notices.
    assert (log.known, log.latest) == (8, 8)


def test_versions_may_start_again_from_a_lower_number() -> None:
    log = VersionLog()
    log.start_at(500)

    log.restart_at(3)

    assert log.add_next([4])
    assert (log.known, log.latest) == (4, 4)


def test_changes_from_before_a_restart_overrule_nothing() -> None:
    log = VersionLog()
    log.start_at(500)
    log.add([leave("a", 502)])

    log.restart_at(3)

    assert log.add([join("a", 4)]) == [join("a", 4)]
    assert (log.known, log.ahead) == (4, set())


def test_only_changes_that_follow_directly_are_added_as_next() -> None:
    log = VersionLog()
    assert not log.add_next([1])

    log.start_at(5)
    assert not log.add_next([7])
    assert not log.add_next([6, 8])
    assert log.add_next([6, 7])
    assert log.known == 7

    log.add(empty(9))
    assert not log.add_next([8])


def test_a_join_that_arrives_after_its_leave_is_left_out() -> None:
    log = VersionLog()
    log.start_at(0)

    assert log.add([leave("a", 2)]) == [leave("a", 2)]
    assert log.add([join("a", 1)]) == empty(1)


def test_a_leave_that_arrives_after_a_later_join_is_left_out() -> None:
    log = VersionLog()
    log.start_at(1)

    assert log.add([join("a", 3)]) == [join("a", 3)]
    assert log.add([leave("a", 2)]) == empty(2)


REFS = "abc"


@st.composite
def histories(draw: st.DrawFn) -> list[Diff]:
    """Changes of an empty topic: each of three metas joins, leaves, joins again."""
    here: set[str] = set()
    changes: list[Diff] = []
    for ref in draw(st.lists(st.sampled_from(REFS), max_size=12)):
        version = len(changes) + 1
        changes.append(leave(ref, version) if ref in here else join(ref, version))
        here ^= {ref}
    return changes


@given(st.data())
def test_changes_in_any_order_give_the_same_state(data: st.DataObject) -> None:
    history = data.draw(histories())
    states: list[State] = [{}]
    for change in history:
        states.append(apply(states[-1], change))
    log, state, since = VersionLog(), states[0], 0
    log.start_at(0)
    order = data.draw(st.permutations(history))

    for change in order:
        if data.draw(st.integers(0, 9)) == 0:
            # All members are given a state, not older than the latest change.
            since = data.draw(st.integers(log.latest, len(history)))
            state = states[since]
            log.restart_at(since)
        if not log.add_next([change.version]):
            [change] = log.add([change])
        if change.version > since:
            state = apply(state, change)

    assert by_ref(state) == by_ref(states[-1])
    assert (log.known, log.ahead) == (len(history), set())


def test_a_change_in_parts_counts_with_its_last_part() -> None:
    log = VersionLog()
    log.start_at(5)

    assert log.add_part(join("a", 6)) == join("a", 6)
    assert (log.known, log.latest) == (5, 5)

    assert log.add_next([6])
    assert log.known == 6


def test_a_late_part_leaves_out_what_is_overruled() -> None:
    log = VersionLog()
    log.start_at(5)
    log.add([leave("a", 7)])

    assert log.add_part(join("a", 6)) == Diff(version=6)
    assert log.add_part(join("b", 6)) == join("b", 6)


@pytest.mark.parametrize("known", [None, 1])
def test_the_number_of_kept_changes_is_bounded(known: int | None) -> None:
    log = VersionLog()
    if known is not None:
        log.start_at(known)

    # The second change never arrives, or no member is ever given a state.
    for version in range(3, 3 * MAX_KEPT):
        log.add([join(str(version), version)])

    assert len(log.ahead) <= MAX_KEPT + 1
    assert len(log._reported) <= MAX_KEPT + 1
    assert log.latest == 3 * MAX_KEPT - 1
    log.restart_at(3 * MAX_KEPT)
    assert (log.known, log.ahead) == (3 * MAX_KEPT, set())
