"""The reports of a process, and that none is left at its stop."""

from __future__ import annotations

from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer, take_buffer
from rooms.monitoring.reporter import Reporter


async def test_recent_events_are_reported_at_the_stop() -> None:
    take_buffer()
    reporter = Reporter()
    reporter.start()
    activity_buffer.note_sent("room:r-report", "changed", "key:billing")

    await reporter.stop()

    [sent] = await activity().sent("room:r-report")
    assert sent["event"] == "changed"


async def test_a_reporter_that_was_never_started_stops_without_a_report() -> None:
    take_buffer()
    activity_buffer.note_sent("room:r-never", "changed", "key:billing")

    await Reporter().stop()

    assert await activity().sent("room:r-never") == []
    take_buffer()
