"""Sends members a fresh presence state, after changes or events may have been lost."""

from __future__ import annotations

from collections.abc import Sequence

from presence import factory
from presence.cluster import in_batches
from presence.state import Snapshot
from rooms.messaging.hub import hub
from rooms.messaging.presence_order import PRESENCE_STATE
from rooms.protocol.encoded_event import pack
from rooms.protocol.event import Event

# The event that informs members that events may have been lost.
GAP = "beam_gap"
LISTINGS = 5


async def announce_gap(topics: Sequence[str]) -> None:
    """Send local members `beam_gap` and a fresh state. Raises `Unavailable`."""
    await in_batches(_announce_gap, topics)


async def send_state(topics: Sequence[str]) -> None:
    """Send local members a fresh state. Raises `Unavailable`."""
    await in_batches(_send_state, topics)


async def _announce_gap(topic: str) -> None:
    snapshot = await _current(topic)
    hub().deliver(pack(Event(topic=topic, name=GAP, payload={})))
    _deliver_state(topic, snapshot)


async def _send_state(topic: str) -> None:
    _deliver_state(topic, await _current(topic))


def _deliver_state(topic: str, snapshot: Snapshot) -> None:
    state, version = snapshot.state, snapshot.version
    event = Event(topic=topic, name=PRESENCE_STATE, payload=state, version=version)
    hub().deliver(pack(event))


async def _current(topic: str) -> Snapshot:
    """The presence state, not older than the changes that members have received.

    Changes come over another connection, and may arrive before the answer. A Redis
    that lost its data and has a slower clock stays behind; this is accepted.
    """
    for _ in range(LISTINGS):
        snapshot = await factory.tracker().list(topic)
        if snapshot.version >= hub().latest_version(topic):
            break
    return snapshot
