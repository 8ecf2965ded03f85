"""What a topic knows of the presence changes that were delivered to it."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from rooms.hub import Topic


def test_nothing_is_followed_until_a_state_is_known() -> None:
    topic = Topic()
    topic.saw(7)

    assert (topic.known, topic.latest) == (None, 7)

    topic.knows(6)
    assert (topic.known, topic.ahead) == (7, set())


def test_a_hole_stays_until_it_is_filled() -> None:
    topic = Topic()
    topic.knows(5)
    for version in (6, 8, 9):
        topic.saw(version)

    assert (topic.known, topic.latest) == (6, 9)
    topic.saw(7)
    assert (topic.known, topic.latest) == (9, 9)


def test_a_member_that_comes_does_not_fill_the_hole_of_the_others() -> None:
    topic = Topic()
    topic.knows(5)
    topic.saw(7)

    topic.knows(7)

    assert topic.known == 5


def test_a_fresh_state_fills_every_hole() -> None:
    topic = Topic()
    topic.knows(5)
    for version in (7, 9, 10):
        topic.saw(version)

    topic.restarts(8)

    assert (topic.known, topic.latest) == (10, 10)


def test_after_a_loss_versions_may_begin_anew() -> None:
    topic = Topic()
    topic.knows(500)

    topic.restarts(3)
    topic.saw(4)

    assert (topic.known, topic.latest) == (4, 4)


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_in_any_order_all_changes_are_known_in_the_end(
    order: list[int], state: int
) -> None:
    topic = Topic()
    topic.knows(state)
    for version in order:
        topic.saw(version)
        assert topic.known is not None
        assert topic.known + 1 not in topic.ahead

    assert (topic.known, topic.latest) == (8, 8)
