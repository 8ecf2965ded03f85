"""How long others were silent, by one observer's clock."""

from __future__ import annotations

import pytest

from presence.silence import Silence

INTERVAL = 5.0


def silence_at(*times: float, marks: str | None = None) -> float:
    """The silence of one that is seen with these marks at these times."""
    silence = Silence(INTERVAL)
    for time, mark in zip(times, marks or "a" * len(times), strict=True):
        silence.observe({"one": mark}, time, time)
    return silence.of("one").seconds


@pytest.mark.parametrize(
    ("seconds", "times", "marks"),
    [
        (0.0, [7], "a"),
        (4.0, [7, 11], "aa"),
        (9.0, [0, 4, 9], "aaa"),
        # It has counted in between.
        (0.0, [0, 4, 9], "aab"),
        (4.0, [0, 5, 9], "abb"),
        # A look that comes late counts for one in time, and then for nothing.
        (5.0, [0, 10], "aa"),
        (0.0, [0, 10.1], "aa"),
        (9.0, [0, 5, 1_000, 1_004], "aaaa"),
    ],
)
def test_what_is_observed_is_added_up(
    seconds: float, times: list[float], marks: str
) -> None:
    assert silence_at(*times, marks=marks) == seconds


def test_time_before_a_look_that_failed_does_not_count() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 0)
    silence.interrupt()

    silence.observe({"one": "a"}, 4, 4)
    assert silence.of("one").seconds == 0
    silence.observe({"one": "a"}, 8, 8)

    assert silence.of("one").seconds == 4


def test_waiting_for_an_answer_is_not_counted() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 2)

    silence.observe({"one": "a"}, 5, 6)

    assert silence.of("one").seconds == 3


def test_one_that_was_away_is_observed_from_the_start() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 0)
    silence.observe({"one": "a"}, 5, 5)
    silence.observe({}, 10, 10)

    silence.observe({"one": "a"}, 15, 15)

    assert silence.of("one").seconds == 0
