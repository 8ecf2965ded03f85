"""Owns the event that takes members out of a room; it goes the road of every event."""

from __future__ import annotations

from typing import Final

from rooms.protocol.event import Event

# Heard by the members' channels, told to no client.
REMOVE: Final = "beam_remove"


def removal(topic: str, reason: str, to: tuple[str, ...] | None = None) -> Event:
    """Take out the members with one of these labels; None: all."""
    return Event(topic=topic, name=REMOVE, payload={"reason": reason}, to=to)
