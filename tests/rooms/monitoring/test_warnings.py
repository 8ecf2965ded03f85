"""What admins are warned of is bounded, and waits until it can be told."""

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


def noted(recorder: Recorder, *names: str) -> None:
    """Lines of the log."""
    for name in names:
        recorder.emit(logging.LogRecord("x", logging.ERROR, "", 1, name, (), None))


@pytest.mark.parametrize("more", [0, 10, MAX_KEPT, MAX_KEPT + 5])
def test_the_newest_stay_where_there_is_no_room(more: int) -> None:
    recorder = Recorder()
    noted(recorder, *(f"old {n}" for n in range(MAX_KEPT)))
    waiting = recorder.take()
    noted(recorder, *(f"new {n}" for n in range(more)))

    recorder.put_back(waiting)

    everything = [f"old {n}" for n in range(MAX_KEPT)]
    everything += [f"new {n}" for n in range(more)]
    assert [one["text"] for one in recorder.take()] == everything[-MAX_KEPT:]
    assert recorder.take() == []


def took(**counters: float) -> ProcessStats:
    """Figures with these counters, and 5 of the others."""
    return ProcessStats(0.0, dict.fromkeys(TEXTS, 5.0) | counters, {})


def test_a_counter_that_grew_is_a_warning() -> None:
    [line] = counter_warnings(took(), took(bad_frames=1_205.0))

    assert line["text"] == "Sockets closed, what they sent was no frame: 1,200"


def test_a_warning_says_why() -> None:
    before, after = took(), took(joins_refused=1_012.0)
    before.reasons = {"joins_refused": {"room_full": 4, "blocked": 1}}
    after.reasons = {"joins_refused": {"room_full": 5, "blocked": 1, "other": 1_006}}

    [line] = counter_warnings(before, after)

    assert line["text"] == "Joins refused: 1,007 (1,006 other, 1 room_full)"


def test_only_counters_that_exist_are_looked_at() -> None:
    assert {*TEXTS, *ERROR_COUNTERS} <= metrics.COUNTERS.keys()


def test_each_error_of_the_chart_has_its_warning() -> None:
    for name in ERROR_COUNTERS:
        [line] = counter_warnings(took(), took(**{name: 6.0}))

        assert line["text"].endswith(": 1")
