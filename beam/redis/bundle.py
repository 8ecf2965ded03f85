"""Bundles: what a group gets in one turn of the event loop is one message to Redis."""

from __future__ import annotations

from typing import Any, Final

Message = dict[str, Any]

BUNDLE: Final = "beam.bundle"


def bundle(messages: list[Message]) -> Message:
    """One message for all; a single one stays as it is."""
    if len(messages) == 1:
        return messages[0]
    return {"type": BUNDLE, "messages": messages}


def unbundle(message: Message) -> list[Message]:
    """The messages of a bundle, or the message itself."""
    if message["type"] == BUNDLE:
        messages: list[Message] = message["messages"]
        return messages
    return [message]
