"""How long other processes were silent, by the clock of one observer."""

from __future__ import annotations

import pytest

from presence.silence import Silence

INTERVAL = 5.0


def silence_at(*times: float, marks: str | None = None) -> float:
    """The silence of a process that has these marks at these times."""
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
        # The mark changed in between.
        (0.0, [0, 4, 9], "aab"),
        (4.0, [0, 5, 9], "abb"),
        # A late observation counts as one interval; a later one does not count.
        (5.0, [0, 10], "aa"),
        (0.0, [0, 10.1], "aa"),
        (9.0, [0, 5, 1_000, 1_004], "aaaa"),
    ],
)
def test_observed_silence_adds_up(
    seconds: float, times: list[float], marks: str
) -> None:
    assert silence_at(*times, marks=marks) == seconds


def test_time_before_a_failed_observation_does_not_count() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 0)
    silence.interrupt()

    silence.observe({"one": "a"}, 4, 4)
    assert silence.of("one").seconds == 0
    silence.observe({"one": "a"}, 8, 8)

    assert silence.of("one").seconds == 4


def test_time_spent_waiting_for_an_answer_does_not_count() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 2)

    silence.observe({"one": "a"}, 5, 6)

    assert silence.of("one").seconds == 3


def test_a_process_that_was_missing_is_observed_from_the_start() -> None:
    silence = Silence(INTERVAL)
    silence.observe({"one": "a"}, 0, 0)
    silence.observe({"one": "a"}, 5, 5)
    silence.observe({}, 10, 10)

    silence.observe({"one": "a"}, 15, 15)

    assert silence.of("one").seconds == 0
