"""States and diffs that are too large for one frame."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from presence.state import Diff, Meta, State, apply, metas_of, state_of
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.json_text import RawJson
from rooms.protocol.presence_parts import joins_of, presence_diffs, state_parts
from rooms.protocol.serializer import encode

MOST = 400


def metas(count: int, size: int = 50, keys: int = 1_000) -> State:
    """A state of `count` metas, each with `size` characters."""
    return state_of(
        (f"user{n % keys}:1", {"phx_ref": f"r{n}", "x": "y" * size})
        for n in range(count)
    )


states = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 500)), max_size=40).map(
    lambda found: state_of(
        (f"u{key}", {"phx_ref": str(n), "x": "y" * size})
        for n, (key, size) in enumerate(found)
    )
)


def merged(parts: list[RawJson]) -> State:
    """The state that phoenix.js merges from the parts."""
    first, *others = parts
    state: State = orjson.loads(bytes(first))
    for part in others:
        diff = orjson.loads(bytes(joins_of(part)))
        state = apply(state, Diff(diff["joins"], diff["leaves"]))
    return state


def test_a_small_state_is_one_part() -> None:
    assert state_parts({}, MOST) == [b"{}"]
    assert state_parts(metas(2), MOST) == [orjson.dumps(metas(2))]


@given(states)
def test_the_parts_of_a_state_merge_into_it(state: State) -> None:
    parts = state_parts(state, MOST)

    assert merged(parts) == state


@given(states)
def test_no_part_is_larger_than_the_bound_but_for_a_single_meta(state: State) -> None:
    for part in state_parts(state, MOST):
        several = sum(1 for _ in metas_of(orjson.loads(bytes(part)))) > 1
        assert len(part) <= MOST or not several


def test_the_metas_of_one_key_are_spread_over_parts() -> None:
    state = metas(20, keys=1)

    parts = state_parts(state, MOST)

    assert len(parts) > 2
    assert merged(parts) == state


def deliveries(events: list[Event]) -> list[Delivery]:
    """The events as a process receives them."""
    return [Delivery(pack(event)) for event in events]


def test_a_diff_that_fits_is_one_event() -> None:
    changes = [Diff(metas(1), {}, 7), Diff({}, metas(1), 8)]

    [event] = deliveries(presence_diffs("t", changes, MOST))

    assert event.versions() == [7, 8]
    assert event.void


def test_no_change_is_no_event() -> None:
    assert presence_diffs("t", [Diff(version=7)], MOST) == []


def test_changes_that_do_not_fit_are_spread_in_order() -> None:
    changes = [
        Diff({key: presence}, {}, n + 1)
        for n, (key, presence) in enumerate(metas(20).items())
    ]

    events = deliveries(presence_diffs("t", changes, MOST))

    assert len(events) > 3
    assert [v for event in events for v in event.versions()] == [*range(1, 21)]
    assert not any(event.more for event in events)
    assert all(len(event.payload) <= MOST + 50 for event in events)
    sent = [pair for event in events for pair in metas_of(joins_in(event))]
    assert state_of(sent) == metas(20)


def test_one_change_that_does_not_fit_is_split_and_counts_once() -> None:
    change = Diff(metas(3), metas(20), 7)

    events = deliveries(presence_diffs("t", [change], MOST))

    assert [event.more for event in events] == [True] * (len(events) - 1) + [False]
    assert {event.version for event in events} == {7}
    assert all(len(event.payload) <= MOST + 50 for event in events)
    left: list[tuple[str, Meta]] = []
    for event in events:
        left += metas_of(orjson.loads(event.payload)["leaves"])
    assert state_of(left) == change.leaves


def joins_in(event: Delivery) -> State:
    """The sessions that join by a diff."""
    joins: State = orjson.loads(event.payload)["joins"]
    return joins


@given(states, states, st.sampled_from(list(Vsn)))
def test_a_payload_that_is_text_already_is_encoded_alike(
    state: State, other: State, vsn: Vsn
) -> None:
    for join_ref in ("1", None, 2**70):
        frame = Frame(join_ref, None, "room:é", "presence_state", state)
        raw = frame._replace(payload=RawJson(orjson.dumps(state)))

        assert encode(raw, vsn) == encode(frame, vsn)
