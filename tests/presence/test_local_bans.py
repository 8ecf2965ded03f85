"""What only bans in one process must care for: their own memory."""

from __future__ import annotations

from collections.abc import Callable

from presence import admission
from presence.local_bans import MIN_SWEPT, LocalBans


def test_bans_that_ended_are_removed(clock: Callable[[float], None]) -> None:
    bans = LocalBans()
    for n in range(MIN_SWEPT - 1):
        bans.add(f"room:{n}", admission.group("a"), 1.0)
    bans.add("room:kept", admission.EVERYONE, None)
    clock(2.0)

    bans.add("room:new", admission.group("a"), 60.0)

    assert set(bans._bans) == {"room:kept", "room:new"}
