"""How many bytes may wait for a client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.backlog import CEILING, MOST_PONGS, PROGRESS, Backlog

LIMIT = 1_000

sizes = st.lists(st.integers(1, 5 * LIMIT), max_size=8)


def behind(waiting: int = LIMIT + 1) -> Backlog:
    """A client that exceeded the limit in a turn that is over."""
    backlog = Backlog(LIMIT, waiting, waiting)
    backlog.end_turn()
    return backlog


@given(sizes)
def test_everything_that_one_turn_produces_is_accepted(turn: list[int]) -> None:
    backlog, waiting = behind(), LIMIT + 1

    for size in turn:
        assert backlog.takes(waiting, size)
        waiting += size


@given(st.integers(LIMIT + 1, 50 * LIMIT), sizes)
def test_a_client_that_reads_everything_between_turns_is_never_closed(
    state: int, turn: list[int]
) -> None:
    backlog = behind(state)

    for _ in range(20):
        waiting = 0
        for size in turn:
            assert backlog.takes(waiting, size)
            waiting += size
        backlog.end_turn()


@given(st.lists(sizes, min_size=1, max_size=30))
def test_what_waits_is_bounded_by_the_ceiling_and_one_turn(
    turns: list[list[int]],
) -> None:
    backlog = behind()
    waiting = LIMIT + 1

    for turn in turns:
        for size in turn:
            if backlog.takes(waiting, size):
                waiting += size
        backlog.end_turn()

    largest = max(LIMIT + 1, *map(sum, turns))
    assert waiting <= CEILING * LIMIT + 2 * largest


def test_a_large_state_leaves_room_for_later_events() -> None:
    state = 50 * LIMIT
    backlog = behind(state)

    assert backlog.takes(state, LIMIT)
    backlog.end_turn()
    assert backlog.takes(state + LIMIT, LIMIT)


def test_a_client_that_reads_nothing_is_refused_above_the_ceiling() -> None:
    backlog = behind()

    assert backlog.takes(backlog.ceiling, LIMIT)
    backlog.end_turn()
    assert not backlog.takes(backlog.ceiling + 1, 1)
    assert not backlog.is_in_turn


def test_a_turn_begins_with_its_first_write() -> None:
    backlog = Backlog(LIMIT, LIMIT + 1, LIMIT + 1)
    seen = [backlog.is_in_turn]

    backlog.end_turn()
    seen.append(backlog.is_in_turn)
    backlog.takes(LIMIT, 1)
    seen.append(backlog.is_in_turn)

    assert seen == [True, False, True]


def test_reading_a_sixteenth_of_the_limit_per_period_is_enough() -> None:
    enough = LIMIT // PROGRESS
    backlog = behind(2 * LIMIT)

    assert backlog.end_period(2 * LIMIT - enough)
    assert not backlog.end_period(2 * LIMIT - 2 * enough + 1)


def test_bytes_added_in_a_period_do_not_hide_what_was_read() -> None:
    backlog = behind(2 * LIMIT)

    assert backlog.takes(2 * LIMIT, LIMIT)

    assert backlog.end_period(2 * LIMIT)
    assert not backlog.end_period(2 * LIMIT)


def test_some_pings_are_answered_in_each_period() -> None:
    backlog = behind()

    for _ in range(2):
        assert all(backlog.takes_pong() for _ in range(MOST_PONGS))
        assert not backlog.takes_pong()
        backlog.end_period(0)
