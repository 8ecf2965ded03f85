"""How many bytes may wait for a client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.output_limit import CEILING, MOST_PONGS, PROGRESS, UnreadOutput

LIMIT = 1_000

sizes = st.lists(st.integers(1, 5 * LIMIT), max_size=8)


def behind(waiting: int = LIMIT + 1) -> UnreadOutput:
    """A client that exceeded the limit in a turn that is over."""
    unread = UnreadOutput(LIMIT, waiting, waiting)
    unread.end_turn()
    return unread


@given(sizes)
def test_everything_that_one_turn_produces_is_accepted(turn: list[int]) -> None:
    unread, waiting = behind(), LIMIT + 1

    for size in turn:
        assert unread.takes(waiting, size)
        waiting += size


@given(st.integers(LIMIT + 1, 50 * LIMIT), sizes)
def test_a_client_that_reads_everything_between_turns_is_never_closed(
    state: int, turn: list[int]
) -> None:
    unread = behind(state)

    for _ in range(20):
        waiting = 0
        for size in turn:
            assert unread.takes(waiting, size)
            waiting += size
        unread.end_turn()


@given(st.lists(sizes, min_size=1, max_size=30))
def test_what_waits_is_bounded_by_the_ceiling_and_one_turn(
    turns: list[list[int]],
) -> None:
    unread = behind()
    waiting = LIMIT + 1

    for turn in turns:
        for size in turn:
            if unread.takes(waiting, size):
                waiting += size
        unread.end_turn()

    largest = max(LIMIT + 1, *map(sum, turns))
    assert waiting <= CEILING * LIMIT + 2 * largest


def test_a_large_state_leaves_room_for_later_events() -> None:
    state = 50 * LIMIT
    unread = behind(state)

    assert unread.takes(state, LIMIT)
    unread.end_turn()
    assert unread.takes(state + LIMIT, LIMIT)


def test_a_client_that_reads_nothing_is_refused_above_the_ceiling() -> None:
    unread = behind()

    assert unread.takes(unread.ceiling, LIMIT)
    unread.end_turn()
    assert not unread.takes(unread.ceiling + 1, 1)
    assert not unread.is_in_turn


def test_a_turn_begins_with_its_first_write() -> None:
    unread = UnreadOutput(LIMIT, LIMIT + 1, LIMIT + 1)
    seen = [unread.is_in_turn]

    unread.end_turn()
    seen.append(unread.is_in_turn)
    unread.takes(LIMIT, 1)
    seen.append(unread.is_in_turn)

    assert seen == [True, False, True]


def test_reading_a_sixteenth_of_the_limit_per_period_is_enough() -> None:
    enough = LIMIT // PROGRESS
    unread = behind(2 * LIMIT)

    assert unread.end_period(2 * LIMIT - enough)
    assert not unread.end_period(2 * LIMIT - 2 * enough + 1)


def test_bytes_added_in_a_period_do_not_hide_what_was_read() -> None:
    unread = behind(2 * LIMIT)

    assert unread.takes(2 * LIMIT, LIMIT)

    assert unread.end_period(2 * LIMIT)
    assert not unread.end_period(2 * LIMIT)


def test_some_pings_are_answered_in_each_period() -> None:
    unread = behind()

    for _ in range(2):
        assert all(unread.takes_pong() for _ in range(MOST_PONGS))
        assert not unread.takes_pong()
        unread.end_period(0)
