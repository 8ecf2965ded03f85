"""The control topic: events for the processes themselves.

Every process is subscribed to it, and no client may join it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rooms.protocol.encoded_event import Delivery

CONTROL_TOPIC: Final = "$beam"

ControlHandler = Callable[[Delivery], None]


class ControlEvents:
    """The handlers of the events of the control topic, by event name."""

    def __init__(self) -> None:
        self._by_name: dict[str, ControlHandler] = {}

    def register(self, name: str, handler: ControlHandler) -> None:
        """Call a function for each event of a name. Replaces an earlier handler."""
        self._by_name[name] = handler

    def dispatch(self, delivery: Delivery) -> None:
        """Handle an event. An unknown name is ignored: a newer Beam may send it."""
        if (handler := self._by_name.get(delivery.name)) is not None:
            handler(delivery)
