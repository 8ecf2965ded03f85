"""Packs the messages of a group from one turn of the event loop into one."""

from __future__ import annotations

from typing import Any, Final

Message = dict[str, Any]

BUNDLE: Final = "beam.bundle"


def bundle(messages: list[Message]) -> Message:
    """Pack messages into one. A single message is returned as it is."""
    if len(messages) == 1:
        return messages[0]
    return {"type": BUNDLE, "messages": messages}


def unbundle(message: Message) -> list[Message]:
    """The messages of a bundle, or the message itself."""
    if message["type"] == BUNDLE:
        messages: list[Message] = message["messages"]
        return messages
    return [message]
