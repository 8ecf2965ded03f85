"""Changes that come in any order, and what a topic knows of them."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from presence.state import Diff, State, apply, by_ref
from presence.version_log import MOST_TOLD, Following


def join(ref: str, version: int) -> Diff:
    """A change: one meta comes."""
    return Diff({f"user {ref}": {"metas": [{"phx_ref": ref}]}}, {}, version)


def leave(ref: str, version: int) -> Diff:
    """A change: one meta goes."""
    return Diff({}, join(ref, version).joins, version)


def empty(*versions: int) -> list[Diff]:
    """Changes that tell nothing."""
    return [Diff(version=version) for version in versions]


def test_nothing_is_followed_until_a_state_is_known() -> None:
    following = Following()
    following.take(empty(7))

    assert (following.known, following.latest) == (None, 7)

    following.knows(6)
    assert (following.known, following.ahead) == (7, set())


def test_a_hole_stays_until_it_is_filled() -> None:
    following = Following()
    following.knows(5)
    following.take(empty(6, 8, 9))

    assert (following.known, following.latest) == (6, 9)
    following.take(empty(7))
    assert (following.known, following.latest) == (9, 9)


def test_a_member_that_comes_does_not_fill_the_hole_of_the_others() -> None:
    following = Following()
    following.knows(5)
    following.take(empty(7))

    following.knows(7)

    assert following.known == 5


def test_a_fresh_state_fills_every_hole() -> None:
    following = Following()
    following.knows(5)
    following.take(empty(7, 9, 10))

    following.restarts(8)

    # It is behind Redis, which is noticed.
    assert (following.known, following.latest) == (8, 8)


def test_after_a_loss_versions_may_begin_anew() -> None:
    following = Following()
    following.knows(500)

    following.restarts(3)

    assert following.is_next([4])
    assert (following.known, following.latest) == (4, 4)


def test_after_a_loss_what_came_before_overrules_nothing() -> None:
    following = Following()
    following.knows(500)
    following.take([leave("a", 502)])

    following.restarts(3)

    assert following.take([join("a", 4)]) == [join("a", 4)]
    assert (following.known, following.ahead) == (4, set())


def test_the_next_changes_need_no_look() -> None:
    following = Following()
    assert not following.is_next([1])

    following.knows(5)
    assert not following.is_next([7])
    assert not following.is_next([6, 8])
    assert following.is_next([6, 7])
    assert following.known == 7

    following.take(empty(9))
    assert not following.is_next([8])


def test_a_join_that_comes_after_its_leave_tells_nothing() -> None:
    following = Following()
    following.knows(0)

    assert following.take([leave("a", 2)]) == [leave("a", 2)]
    assert following.take([join("a", 1)]) == empty(1)


def test_a_leave_that_comes_after_a_later_join_tells_nothing() -> None:
    following = Following()
    following.knows(1)

    assert following.take([join("a", 3)]) == [join("a", 3)]
    assert following.take([leave("a", 2)]) == empty(2)


REFS = "abc"


@st.composite
def histories(draw: st.DrawFn) -> list[Diff]:
    """Changes from an empty room on: any of three metas comes, goes, comes back."""
    here: set[str] = set()
    changes: list[Diff] = []
    for ref in draw(st.lists(st.sampled_from(REFS), max_size=12)):
        version = len(changes) + 1
        changes.append(leave(ref, version) if ref in here else join(ref, version))
        here ^= {ref}
    return changes


@given(st.data())
def test_in_any_order_they_give_one_state(data: st.DataObject) -> None:
    history = data.draw(histories())
    states: list[State] = [{}]
    for change in history:
        states.append(apply(states[-1], change))
    following, state, since = Following(), states[0], 0
    following.knows(0)
    order = data.draw(st.permutations(history))

    for change in order:
        if data.draw(st.integers(0, 9)) == 0:
            # The room is given a fresh state, no older than what it was told.
            since = data.draw(st.integers(following.latest, len(history)))
            state = states[since]
            following.restarts(since)
        if not following.is_next([change.version]):
            [change] = following.take([change])
        if change.version > since:
            state = apply(state, change)

    assert by_ref(state) == by_ref(states[-1])
    assert (following.known, following.ahead) == (len(history), set())


def test_parts_of_a_change_count_with_the_last() -> None:
    following = Following()
    following.knows(5)

    assert following.take_part(join("a", 6)) == join("a", 6)
    assert (following.known, following.latest) == (5, 5)

    assert following.is_next([6])
    assert following.known == 6


def test_a_part_that_comes_late_leaves_out_what_is_overruled() -> None:
    following = Following()
    following.knows(5)
    following.take([leave("a", 7)])

    assert following.take_part(join("a", 6)) == Diff(version=6)
    assert following.take_part(join("b", 6)) == join("b", 6)


@pytest.mark.parametrize("known", [None, 1])
def test_what_is_remembered_of_changes_is_bounded(known: int | None) -> None:
    following = Following()
    if known is not None:
        following.knows(known)

    # The second change never comes, or nobody ever asks for a state.
    for version in range(3, 3 * MOST_TOLD):
        following.take([join(str(version), version)])

    assert len(following.ahead) <= MOST_TOLD + 1
    assert len(following._told) <= MOST_TOLD + 1
    assert following.latest == 3 * MOST_TOLD - 1
    following.restarts(3 * MOST_TOLD)
    assert (following.known, following.ahead) == (3 * MOST_TOLD, set())
