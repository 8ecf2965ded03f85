"""Failures that follow each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.reply_delay import STREAK_SECONDS, Streak, Streaks


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


def test_no_reply_waits_if_the_setting_is_0() -> None:
    streak = Streak()
    for _ in range(100):
        streak.note(0.0)

    assert streak.delay(0, now=0.0) == 0


def test_each_client_has_its_streak_and_the_oldest_is_forgotten_first() -> None:
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
