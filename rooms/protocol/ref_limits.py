"""Which topics and refs are short enough to be kept in memory. Pure.

Clients may send any JSON value as a ref, and topics of any length.
"""

from __future__ import annotations

from typing import Final

from rooms.protocol.frame import Frame
from rooms.protocol.json_text import dumps

LONGEST_TOPIC: Final = 300
"""Characters of a topic that is joined, or that a delayed reply repeats."""

LONGEST_REF: Final = 64
"""Characters of a ref that a delayed reply repeats."""

LARGEST_REF: Final = 2**63
LARGEST_KEPT_REF: Final = 512
"""Bytes, as JSON, of a ref that is kept for as long as its channel is joined."""


def is_short_ref(ref: object) -> bool:
    """Whether a delayed reply may repeat a ref: all refs of known clients are short."""
    if isinstance(ref, str):
        return len(ref) <= LONGEST_REF
    if isinstance(ref, int):
        return -LARGEST_REF < ref < LARGEST_REF
    return ref is None or isinstance(ref, float)


def is_short_frame(frame: Frame) -> bool:
    """Whether a reply takes little memory while it is delayed."""
    short = is_short_ref(frame.ref) and is_short_ref(frame.join_ref)
    return short and type(frame.topic) is str and len(frame.topic) <= LONGEST_TOPIC


def can_be_joined(join: Frame) -> bool:
    """Whether a channel may keep the topic and the refs of its join.

    A room's topic may be longer here: its channel refuses it as `invalid_room_id`.
    """
    is_short = len(join.topic) <= LONGEST_TOPIC or join.topic.startswith("room:")
    return is_short and _can_be_kept(join.join_ref) and _can_be_kept(join.ref)


def _can_be_kept(ref: object) -> bool:
    return is_short_ref(ref) or len(dumps(ref)) <= LARGEST_KEPT_REF
