"""The laws of states and diffs."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from presence.state import (
    Diff,
    State,
    apply,
    by_ref,
    diff,
    merge,
    metas_of,
    state_of,
    with_refs,
)

KEYS = st.sampled_from(["a:1", "a:2", "b:1", "__proto__"])
REFS = st.integers(0, 12).map(lambda n: f"ref{n}")


@st.composite
def states(draw: st.DrawFn) -> State:
    """A state; a ref means the same meta in every state."""
    refs = draw(st.lists(REFS, unique=True, max_size=8))
    return state_of((f"k{hash(ref) % 4}", {"phx_ref": ref, "n": 1}) for ref in refs)


@given(states(), states())
def test_applying_a_diff_yields_the_new_state(old: State, new: State) -> None:
    assert by_ref(apply(old, diff(old, new))) == by_ref(new)


@given(states())
def test_a_state_differs_from_itself_in_nothing(state: State) -> None:
    assert not diff(state, state)
    assert apply(state, Diff()) == state
    assert state_of(metas_of(state)) == state


@given(st.lists(states(), min_size=2, max_size=6))
def test_a_merged_diff_has_the_effect_of_all_diffs(history: list[State]) -> None:
    changes = [diff(old, new) for old, new in itertools.pairwise(history)]

    merged = apply(history[0], merge(changes))

    assert by_ref(merged) == by_ref(history[-1])


def test_a_meta_that_joined_and_left_is_in_neither_part() -> None:
    meta = state_of([("a", {"phx_ref": "1"})])
    changes = [Diff(meta, {}, 1), Diff({}, meta, 2)]

    merged = merge(changes)

    assert merged == Diff(version=2)
    assert not merged


def test_a_payload_always_has_joins_and_leaves() -> None:
    meta = state_of([("a", {"phx_ref": "1"})])

    assert Diff(meta).payload() == {"joins": meta, "leaves": {}}
    assert Diff({}, meta).payload() == {"joins": {}, "leaves": meta}


def test_joins_apply_before_leaves_so_an_update_keeps_the_key() -> None:
    old = state_of([("a", {"phx_ref": "1"})])
    new = state_of([("a", {"phx_ref": "2", "phx_ref_prev": "1"})])

    assert apply(old, Diff(new, old)) == new


def test_metas_of_a_key_stay_in_order() -> None:
    state = state_of([("a", {"phx_ref": "1"}), ("b", {"phx_ref": "2"})])

    after = apply(state, Diff(state_of([("a", {"phx_ref": "3"})])))

    assert [meta["phx_ref"] for meta in after["a"]["metas"]] == ["1", "3"]


def test_refs_cannot_be_forged() -> None:
    forged = {"phx_ref": "x", "phx_ref_prev": "y", "n": 1}

    assert with_refs(forged, "1") == {"n": 1, "phx_ref": "1"}
    assert with_refs(forged, "2", "1") == {"n": 1, "phx_ref": "2", "phx_ref_prev": "1"}
