"""Events are encoded once; V1 is derived."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from presence.state import Diff, State, apply, by_ref, state_of
from rooms.protocol.encoded_event import Delivery, pack
from rooms.protocol.event import Event, presence_diff
from rooms.protocol.frame import Frame, Vsn
from rooms.protocol.serializer import encode
from rooms.protocol.ws_frames import prepared
from tests.rooms.protocol.test_serializer import JSON, TEXT


def arrive(**fields: Any) -> Delivery:
    """An event as the other process gets it."""
    return Delivery(pack(Event(**{"topic": "t", "name": "e", "payload": {}} | fields)))


@given(TEXT, TEXT, JSON)
def test_the_v1_form_is_what_the_serializer_writes(
    topic: str, name: str, payload: Any
) -> None:
    delivery = arrive(topic=topic, name=name, payload=payload)

    frame = Frame(None, None, topic, name, payload)
    assert json.loads(delivery.v1) == json.loads(encode(frame, Vsn.V1))
    assert json.loads(delivery.payload) == payload
    assert delivery.encoded(Vsn.V2) == encode(frame, Vsn.V2)
    assert delivery.encoded(Vsn.V1) == delivery.v1


def test_a_binary_event_has_no_v1() -> None:
    delivery = arrive(payload=b"\x00\xff")

    assert delivery.payload == b"\x00\xff"
    assert delivery.encoded(Vsn.V1) is None
    assert delivery.prepared_v1 == b""
    assert delivery.prepared_v2 == prepared(delivery.data, True)


def test_prepared_forms_are_the_encoded_ones() -> None:
    delivery = arrive(payload={"n": 1})

    assert delivery.prepared_v2 == prepared(delivery.data, False)
    assert delivery.prepared_v1 == prepared(delivery.v1, False)


def test_all_fields_are_unpacked_as_they_were() -> None:
    delivery = arrive(skip="s", to=("a", "b"), version=5, receipt="r")

    assert (delivery.skip, delivery.to) == ("s", frozenset("ab"))
    assert (delivery.version, delivery.receipt) == (5, "r")


def test_fields_that_are_not_set_take_no_room() -> None:
    message = pack(Event(topic="t", name="e", payload={}))

    assert set(message) == {"type", "topic", "event", "data"}
    assert arrive().to is None
    assert arrive(to=()).to == frozenset()


def test_an_event_that_cannot_be_encoded_is_refused_at_the_publisher() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        pack(Event(topic="x" * 256, name="e", payload=b""))


def part(version: int, ref: str, *, left: bool = False) -> Diff:
    """A diff of one meta."""
    state = state_of([("k", {"phx_ref": ref})])
    return Diff({}, state, version) if left else Diff(state, {}, version)


def merged(*parts: Diff) -> Delivery:
    """A merged presence diff as a receiver gets it."""
    event = presence_diff("t", parts)
    assert event is not None
    return Delivery(pack(event))


@pytest.mark.parametrize(
    ("known", "refs"),
    [
        (0, ["a", "b", "c"]),
        (4, ["a", "b", "c"]),
        (5, ["b", "c"]),
        (7, ["c"]),
        (9, None),
    ],
)
def test_a_merged_diff_reports_what_is_not_known_yet(
    known: int, refs: list[str] | None
) -> None:
    delivery = merged(part(5, "a"), part(7, "b"), part(9, "c"))

    rest = delivery.after(known)

    if refs is None:
        assert rest is None
    else:
        assert rest is not None
        metas = json.loads(rest.payload)["joins"]["k"]["metas"]
        assert [meta["phx_ref"] for meta in metas] == refs


def test_a_leave_whose_join_is_known_is_reported() -> None:
    rest = merged(part(5, "a"), part(6, "a", left=True), part(7, "b")).after(5)

    assert rest is not None
    assert list(json.loads(rest.payload)["leaves"]) == ["k"]


def test_a_diff_whose_rest_cancels_out_is_not_reported() -> None:
    delivery = merged(part(5, "a"), part(6, "b"), part(7, "b", left=True))

    assert delivery.after(5) is None


def test_a_single_diff_is_reported_or_not() -> None:
    delivery = arrive(version=5)

    assert delivery.after(4) is delivery
    assert delivery.after(5) is None


def test_a_member_that_knows_a_part_of_what_cancels_out_gets_the_rest() -> None:
    delivery = merged(part(5, "a"), part(6, "a", left=True))

    assert delivery.versions() == [5, 6]
    assert delivery.after(4) is None
    rest = delivery.after(5)
    assert rest is not None
    assert list(json.loads(rest.payload)["leaves"]) == ["k"]
    assert delivery.after(6) is None


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.data())
def test_a_member_ends_with_the_last_state_from_any_state_before(
    refs: list[str], data: st.DataObject
) -> None:
    here: set[str] = set()
    states: list[State] = [{}]
    changes: list[Diff] = []
    for version, ref in enumerate(refs, 1):
        changes.append(part(version, ref, left=ref in here))
        states.append(apply(states[-1], changes[-1]))
        here ^= {ref}
    cut = data.draw(st.integers(0, len(refs)))
    known = data.draw(st.integers(0, len(refs)))
    state = states[known]

    for window in (changes[:cut], changes[cut:]):
        event = presence_diff("t", window)
        if event is None:
            continue
        if (rest := Delivery(pack(event)).after(known)) is not None:
            sent = json.loads(rest.payload)
            state = apply(state, Diff(sent["joins"], sent["leaves"]))

    assert by_ref(state) == by_ref(states[-1])
