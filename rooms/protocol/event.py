"""Events: what is delivered to the members of a topic. Pure.

`rooms.protocol.encoded_event` encodes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from presence.state import Diff, merge


# Not frozen: that takes a microsecond per message. No code changes an event.
@dataclass(slots=True, kw_only=True)
class Event:
    """A name and a payload for the members of a topic.

    `skip`: the id of the one member that does not get it.
    `to`: the labels of the members that get it; None means all.
    `without`: the labels of the members that do not get it.
    `version`: the presence version, for members whose state is newer.
    `parts`: the diffs that a merged presence diff consists of.
    `more`: further events of the same change follow; the last counts as it.
    `void`: they cancel out; only members that know some of them get the rest.
    `receipt`: the publisher waits until its own process has delivered.
    """

    topic: str
    name: str
    payload: Any = field(repr=False)
    skip: str | None = None
    to: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    version: int = 0
    receipt: str | None = None
    parts: tuple[Diff, ...] = ()
    void: bool = False
    more: bool = False


def presence_diff(topic: str, changes: Sequence[Diff]) -> Event | None:
    """The event that reports several changes, in order, as one.

    None if there is nothing to report or to count.
    """
    whole = merge(changes)
    parts = tuple(changes) if len(changes) > 1 else ()
    if not whole and not parts:
        return None
    return Event(
        topic=topic,
        name="presence_diff",
        payload=whole.payload(),
        version=whole.version,
        parts=parts,
        void=not whole,
    )
