"""Actions of backends and admins: remove, block, close, disconnect, send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from presence import admission
from presence.factory import tracker
from presence.state import metas_of
from rooms.messaging import publisher
from rooms.messaging.connections import disconnect_event
from rooms.messaging.grace_period import end_grace
from rooms.monitoring.activity_buffer import activity_buffer
from rooms.protocol.event import Event
from rooms.protocol.identifiers import room_topic
from rooms.protocol.reasons import Reason
from rooms.protocol.removal_event import removal
from rooms.records import closed_rooms

REMOVED = "removed"


async def remove(
    room_id: str,
    ban: admission.Ban,
    *,
    reason: str = REMOVED,
    block_seconds: float = 0.0,
) -> list[str]:
    """Remove all members of a user, or one session, from a room.

    They get `beam_removed` and `phx_close`. `block_seconds`: how long they may not
    join again. Returns their sessions. Raises `beam.redis.Unavailable`.
    """
    topic = room_topic(room_id)
    if block_seconds > 0:
        await tracker().ban(topic, ban, block_seconds)
    present = {key for key, _ in metas_of((await tracker().list(topic)).state)}
    label = f"{'session' if ban.kind == 'key' else 'user'}:{ban.name}"
    await publisher.published(removal(topic, reason, (label,)))
    await end_grace(topic, ban)
    if ban.kind == "key":
        return sorted(present & {ban.name})
    return sorted(key for key in present if key.rpartition(":")[0] == ban.name)


async def close(room_id: str) -> int:
    """Close a room: remove its members and refuse joins. Returns how many there were.

    It stays closed until `closed_rooms.open_again`, also after restarts. Raises as
    `close_all` does.
    """
    [size] = await tracker().sizes([room_topic(room_id)])
    await close_all([room_id])
    return size.entries


async def close_all(room_ids: Sequence[str]) -> None:
    """Close up to some hundred rooms.

    The database comes last: if it is unavailable, the rooms are already empty.
    Raises `beam.redis.Unavailable`, `DatabaseError`.
    """
    await closed_rooms.refuse_joins(*room_ids)
    topics = [room_topic(room_id) for room_id in room_ids]
    removals = [removal(topic, Reason.ROOM_CLOSED) for topic in topics]
    await asyncio.gather(*map(publisher.published, removals))
    await asyncio.gather(*(end_grace(topic, admission.EVERYONE) for topic in topics))
    await closed_rooms.save(*room_ids)


async def unblock(room_id: str, *bans: admission.Ban) -> None:
    """Remove blocks that `remove` set. Raises `beam.redis.Unavailable`."""
    for ban in bans:
        await tracker().unban(room_topic(room_id), ban)


async def send(room_id: str, name: str, payload: dict[str, Any], by: str) -> None:
    """Send an event to all members of a room. Raises `NotPublished`.

    `by`: the sender, as shown in the admin.
    """
    event = Event(topic=room_topic(room_id), name=name, payload=payload)
    await publisher.published(event)
    activity_buffer.note_sent(event.topic, name, by)


async def disconnect(user_id: str) -> None:
    """Close every connection of a user with 1001. Raises `NotPublished`."""
    await publisher.published(disconnect_event(user_id))
