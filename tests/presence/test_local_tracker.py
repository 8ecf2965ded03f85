"""What only presence in one process must care for: its own memory."""

from __future__ import annotations

from presence.local_tracker import LocalTracker


async def test_nothing_is_kept_of_a_topic_that_every_member_left() -> None:
    tracker = LocalTracker()
    for n in range(3):
        tracked = await tracker.track("room:r", f"a:{n}", {}, "a")
        await tracker.leave("room:r", tracked.ref)
        await tracker.expire("room:r", tracked.ref)

    assert not tracker._topics
    assert not tracker._counts
    assert not tracker._leaving
