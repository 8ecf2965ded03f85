"""Rates: a burst is free, the rest is paid off by waiting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.rate_limit import STREAK_SECONDS, Pace, Streak, Streaks


def test_a_burst_is_free_and_what_is_above_waits() -> None:
    pace = Pace(rate=10, burst=5)

    waits = [pace.spend(1, now=100.0) for _ in range(7)]

    assert waits == [0, 0, 0, 0, 0, pytest.approx(0.1), pytest.approx(0.2)]


def test_time_pays_off_the_debt_but_saves_no_more_than_a_burst() -> None:
    pace = Pace(rate=10, burst=5)
    pace.spend(5, now=0.0)

    assert pace.spend(5, now=1_000.0) == 0
    assert pace.spend(1, now=1_000.0) == pytest.approx(0.1)


Units = st.floats(0.1, 50)
Pauses = st.floats(0, 3)


@given(st.floats(1, 100), st.floats(1, 100), st.lists(st.tuples(Units, Pauses)))
def test_who_waits_as_told_never_exceeds_rate_and_burst(
    rate: float, burst: float, sent: list[tuple[float, float]]
) -> None:
    pace, now, spent = Pace(rate, burst), 0.0, 0.0
    for units, pause in sent:
        assert spent <= burst + rate * now + 1e-6
        spent += units
        now += pace.spend(units, now) + pause


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 5)), min_size=1, max_size=60)
)
def test_never_more_is_let_in_than_burst_and_rate_allow(
    asked: list[tuple[float, int]],
) -> None:
    pace, now, let_in = Pace(rate=10.0, burst=20.0), 0.0, 0.0
    for later, units in asked:
        now += later
        if not pace.ask(units, now):
            let_in += units
        assert let_in <= 20 + 10 * now + 1e-6


def test_what_was_refused_may_come_after_the_wait_it_was_told() -> None:
    pace = Pace(rate=10.0, burst=1.0)
    assert pace.ask(1, 0.0) == 0.0
    wait = pace.ask(1, 0.0)

    assert 0 < wait <= 0.1
    assert pace.ask(1, wait * 0.9) > 0
    assert pace.ask(1, wait + 1e-9) == 0.0


def test_the_first_failures_are_free_and_the_next_wait_longer_and_longer() -> None:
    streak, waits = Streak(), []
    for n in range(12):
        streak.note(now=float(n))
        waits.append(streak.delay(3, now=float(n)))

    assert waits[:3] == [0, 0, 0]
    assert waits[3:] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5])


def test_a_failure_that_comes_late_begins_a_streak() -> None:
    streak = Streak()
    for now in (0.0, 1.0, 2.0):
        streak.note(now)

    assert streak.delay(2, now=2.0) > 0
    assert streak.delay(2, now=2.1 + STREAK_SECONDS) == 0
    streak.note(2.1 + STREAK_SECONDS)
    assert streak.count == 1


def test_nothing_waits_where_no_failures_are_free() -> None:
    streak = Streak()
    for _ in range(100):
        streak.note(0.0)

    assert streak.delay(0, now=0.0) == 0


def test_streaks_are_apart_and_the_oldest_is_forgotten_first() -> None:
    streaks = Streaks(most=2)
    for now, key in enumerate(("ada", "ada", "bob", "ada", "eve")):
        streaks.note(key, float(now))

    assert len(streaks) == 2
    assert [streaks.delay(key, 2, 5.0) > 0 for key in ("ada", "bob", "eve")] == [
        True,
        False,
        False,
    ]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 5)), max_size=200))
def test_streaks_take_no_more_memory_than_they_may(
    failures: list[tuple[int, float]],
) -> None:
    streaks, now = Streaks(most=7), 0.0
    for key, pause in failures:
        now += pause
        streaks.note(key, now)
        assert 0 < len(streaks) <= 7


def test_streaks_that_are_over_are_forgotten() -> None:
    streaks = Streaks()
    for key in range(100):
        streaks.note(key, 0.0)

    streaks.note("last", STREAK_SECONDS + 1)

    assert len(streaks) == 1
