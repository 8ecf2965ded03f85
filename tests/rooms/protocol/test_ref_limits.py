"""Sizes of topics and refs that are kept in memory."""

from __future__ import annotations

import pytest

from rooms.protocol.frame import Frame
from rooms.protocol.ref_limits import can_be_joined, is_short_frame, is_short_ref


@pytest.mark.parametrize("ref", [None, "1", "x" * 64, 7, -1.5, True])
def test_refs_of_known_clients_are_short(ref: object) -> None:
    assert is_short_ref(ref)


@pytest.mark.parametrize("ref", ["x" * 65, 2**64, -(10**4_000), [], {}, ["1"]])
def test_refs_that_take_much_memory_are_not_short(ref: object) -> None:
    assert not is_short_ref(ref)


@pytest.mark.parametrize(
    ("ref", "topic", "short"),
    [
        ("1", "t" * 300, True),
        ("1", "t" * 301, False),
        ("1", ["t"], False),
        ("x" * 65, "t", False),
    ],
)
def test_a_short_frame_has_a_short_topic_and_short_refs(
    ref: object, topic: object, short: bool
) -> None:
    assert is_short_frame(Frame("1", ref, topic, "phx_reply", {})) is short
    assert is_short_frame(Frame(ref, "1", topic, "phx_reply", {})) is short


@pytest.mark.parametrize(
    ("ref", "topic", "accepted"),
    [
        ("1", "t" * 300, True),
        ("1", "t" * 301, False),
        ("1", "room:" + "t" * 301, True),
        ("x" * 510, "t", True),
        ("x" * 511, "t", False),
        (["x" * 508], "t", True),
        (["x" * 509], "t", False),
    ],
)
def test_a_join_with_a_long_topic_or_ref_cannot_be_kept(
    ref: object, topic: str, accepted: bool
) -> None:
    assert can_be_joined(Frame("1", ref, topic, "phx_join", {})) is accepted
    assert can_be_joined(Frame(ref, "1", topic, "phx_join", {})) is accepted
