"""The event that removes members from a room; it is published like every event."""

from __future__ import annotations

from typing import Final

from rooms.protocol.event import Event

# For the channels of the members; no client gets it.
REMOVE: Final = "beam_remove"


def removal(topic: str, reason: str, to: tuple[str, ...] | None = None) -> Event:
    """The event that removes the members with one of these labels; None: all."""
    return Event(topic=topic, name=REMOVE, payload={"reason": reason}, to=to)
