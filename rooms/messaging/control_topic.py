"""The control topic: events for the processes themselves, which no client may join.

Every process is subscribed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rooms.protocol.event import Delivery

CONTROL_TOPIC: Final = "$beam"

ControlHandler = Callable[[Delivery], None]


class ControlEvents:
    """What one process does at each event of the control topic, by event name."""

    def __init__(self) -> None:
        self._by_name: dict[str, ControlHandler] = {}

    def register(self, name: str, handler: ControlHandler) -> None:
        """Call a function at each event of that name, in place of the one before."""
        self._by_name[name] = handler

    def dispatch(self, delivery: Delivery) -> None:
        """Handle an event. Names of other versions of Beam are ignored."""
        if (handler := self._by_name.get(delivery.name)) is not None:
            handler(delivery)
