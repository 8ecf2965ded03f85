"""Owns the activity of this process that is not yet added to the recent activity."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from beam.telemetry import metrics
from rooms.monitoring.activity_records import MAX_SENT, MAX_TOPICS, Record

# Topics per report. Above it, a topic to which only backends send is not counted.
MAX_COUNTED: Final = 10_000


@dataclass(slots=True)
class ActivityBuffer:
    """The activity of this process since the last report.

    `messages`: topic -> number of messages. `sent`: topic -> events of backends and
    admins, oldest first.
    """

    messages: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    sent: dict[str, list[Record]] = field(default_factory=dict)

    def note_message(self, topic: str) -> None:
        """Count a message of a member, a backend or an admin to a room."""
        self.messages[topic] += 1
        metrics.ROOM_MESSAGES.value += 1

    def note_sent(self, topic: str, name: str, caller: str) -> None:
        """Record an event of a backend or an admin, without its payload."""
        if len(self.messages) >= MAX_COUNTED and topic not in self.messages:
            metrics.ROOM_MESSAGES.value += 1
            metrics.BACKEND_EVENTS_UNRECORDED.value += 1
            return
        self.note_message(topic)
        records = self.sent.get(topic)
        if records is None:
            if len(self.sent) >= MAX_TOPICS:
                metrics.BACKEND_EVENTS_UNRECORDED.value += 1
                return
            records = self.sent[topic] = []
        records.append({"at": time.time(), "event": name, "by": caller})
        del records[:-MAX_SENT]


activity_buffer = ActivityBuffer()
"""The buffer of this process."""


def take_buffer() -> ActivityBuffer:
    """Return the content of the buffer, and empty it."""
    taken = ActivityBuffer(activity_buffer.messages, activity_buffer.sent)
    activity_buffer.messages, activity_buffer.sent = defaultdict(int), {}
    return taken
