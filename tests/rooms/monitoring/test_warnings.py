"""Warnings are bounded, and wait until they can be reported."""

from __future__ import annotations

import logging

import pytest

from beam.telemetry import metrics
from rooms.monitoring.process_stats import ProcessStats
from rooms.monitoring.warnings import (
    ERROR_COUNTERS,
    MAX_KEPT,
    TEXTS,
    Recorder,
    counter_warnings,
)


def log_lines(recorder: Recorder, *names: str) -> None:
    """Log one line per name."""
    for name in names:
        recorder.emit(logging.LogRecord("x", logging.ERROR, "", 1, name, (), None))


@pytest.mark.parametrize("more", [0, 10, MAX_KEPT, MAX_KEPT + 5])
def test_of_too_many_lines_the_newest_are_kept(more: int) -> None:
    recorder = Recorder()
    log_lines(recorder, *(f"old {n}" for n in range(MAX_KEPT)))
    waiting = recorder.take()
    log_lines(recorder, *(f"new {n}" for n in range(more)))

    recorder.put_back(waiting)

    everything = [f"old {n}" for n in range(MAX_KEPT)]
    everything += [f"new {n}" for n in range(more)]
    assert [one["text"] for one in recorder.take()] == everything[-MAX_KEPT:]
    assert recorder.take() == []


def stats_with(**counters: float) -> ProcessStats:
    """Statistics with these counters; all others are 5."""
    return ProcessStats(0.0, dict.fromkeys(TEXTS, 5.0) | counters, {})


def test_a_counter_that_grew_is_a_warning() -> None:
    [line] = counter_warnings(stats_with(), stats_with(bad_frames=1_205.0))

    assert line["text"] == "Connections closed after an invalid frame: 1,200"


def test_a_warning_lists_the_reasons() -> None:
    before, after = stats_with(), stats_with(joins_refused=1_012.0)
    before.reasons = {"joins_refused": {"room_full": 4, "blocked": 1}}
    after.reasons = {"joins_refused": {"room_full": 5, "blocked": 1, "other": 1_006}}

    [line] = counter_warnings(before, after)

    assert line["text"] == "Joins refused: 1,007 (1,006 other, 1 room_full)"


def test_every_warning_belongs_to_a_counter() -> None:
    assert {*TEXTS, *ERROR_COUNTERS} <= metrics.COUNTERS.keys()


def test_every_error_of_the_chart_has_a_warning() -> None:
    for name in ERROR_COUNTERS:
        [line] = counter_warnings(stats_with(), stats_with(**{name: 6.0}))

        assert line["text"].endswith(": 1")
