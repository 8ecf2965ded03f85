"""What admins are warned of is bounded, and waits until it can be told."""

from __future__ import annotations

import logging

import pytest

from beam import metrics
from rooms.troubles import ERRORS, MAX_KEPT, TEXTS, Recorder, grown


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


def test_a_counter_that_grew_is_a_warning() -> None:
    before = dict.fromkeys(TEXTS, 5.0)
    after = before | {"bad_frames": 1_205.0}

    [line] = grown(before, after)

    assert line["text"] == "Sockets closed, what they sent was no frame: 1,200"


def test_only_counters_that_exist_are_looked_at() -> None:
    assert {*TEXTS, *ERRORS} <= metrics.COUNTERS.keys()
