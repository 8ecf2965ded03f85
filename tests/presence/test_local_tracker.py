"""What only presence in one process has to care for: its own memory."""

from __future__ import annotations

from collections.abc import Callable

from presence import admission
from presence.local_tracker import FEWEST_SWEPT, LocalTracker


async def test_bars_that_ended_are_forgotten(clock: Callable[[float], None]) -> None:
    tracker = LocalTracker()
    for n in range(FEWEST_SWEPT - 1):
        await tracker.ban(f"room:{n}", admission.group("a"), 1.0)
    await tracker.ban("room:kept", admission.EVERYONE)
    clock(2.0)

    await tracker.ban("room:new", admission.group("a"), 60.0)

    assert set(tracker._bans) == {"room:kept", "room:new"}


async def test_nothing_is_kept_of_a_topic_that_everybody_left() -> None:
    tracker = LocalTracker()
    for n in range(3):
        tracked = await tracker.track("room:r", f"a:{n}", {}, "a")
        await tracker.leave("room:r", tracked.ref)
        await tracker.expire("room:r", tracked.ref)

    assert not tracker._topics
    assert not tracker._counts
    assert not tracker._leaving
