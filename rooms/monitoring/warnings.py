"""Owns what admins are warned of: log lines, and counters that should not grow."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from rooms.monitoring.process_stats import ProcessStats

LOGGERS: Final = ("beam", "rooms", "presence")
MAX_KEPT: Final = 50

TEXTS: Final = {
    "connections_refused": "Connects refused",
    "joins_refused": "Joins refused",
    "slow_consumers_closed": "Sockets closed, they read too slowly",
    "bad_frames": "Sockets closed, what they sent was no frame",
    "channel_crashes": "Channels that raised",
    "channels_overflowed": "Channels ended, too many events waited for them",
    "clients_slowed": "Pauses for clients that send too fast",
    "answers_delayed": "Answers delayed, a client fails again and again",
    "api_limited": "REST requests refused, more than api_rate",
    "api_refused": "REST requests refused, wrong secret or key",
    "api_forbidden": "REST requests refused, the key lacks the scope",
    "events_unpublished": "Events not relayed, their senders were told",
    "mailbox_errors": "Failed reads of the hub's mailbox",
    "events_undeliverable": "Binary events for clients that cannot read them",
    "gaps_announced": "Rooms told that they may have missed events",
    "subscription_reconnects": "Subscriptions to Redis that delivered nothing",
    "processes_reaped": "Dead processes, their members were taken out",
    "decodes_failed": "Tokens that the backend could not decode",
    "jwks_failed": "Fetches of the identity provider's keys that failed",
    "rooms_unwritten": "Rooms without a row in the database",
    "fan_out_failures": "Turns in which events of a topic were not all written",
    "server_errors": "Errors inside the server",
    "api_failed": "REST requests that failed",
    "pages_failed": "Pages that failed",
}
"""What a counter's growth means; the number is put behind it."""

ERROR_COUNTERS: Final = (
    "connections_refused",
    "joins_refused",
    "bad_frames",
    "channel_crashes",
    "channels_overflowed",
    "events_unpublished",
    "mailbox_errors",
    "slow_consumers_closed",
    "decodes_failed",
    "fan_out_failures",
    "server_errors",
)
"""What counts as an error in the live view's chart. Each has a text."""


class Recorder(logging.Handler):
    """Keeps the last warnings and errors of Beam's own loggers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[dict[str, Any]] = deque(maxlen=MAX_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line; a traceback stays in the log."""
        level = record.levelname.lower()
        text = record.getMessage()
        self._kept.append({"at": record.created, "level": level, "text": text})

    def install(self) -> None:
        """Hear the loggers. Idempotent."""
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def take(self) -> list[dict[str, Any]]:
        """What came since the last time."""
        taken = list(self._kept)
        self._kept.clear()
        return taken

    def put_back(self, records: list[dict[str, Any]]) -> None:
        """What could not be told yet; the newest stay where there is no room."""
        self._kept = deque([*records, *self._kept], MAX_KEPT)


recorder = Recorder()


def counter_warnings(before: ProcessStats, after: ProcessStats) -> list[dict[str, Any]]:
    """A warning for each counter that should not have grown, with its reasons."""
    found = []
    for name, text in TEXTS.items():
        if more := int(after.counters[name] - before.counters[name]):
            why = _reasons(before.reasons.get(name, {}), after.reasons.get(name, {}))
            line = f"{text}: {more:,}{why}"
            found.append({"at": time.time(), "level": "warning", "text": line})
    return found


def _reasons(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Of a counter that tells why: how many more for each reason, most first."""
    more = {reason: int(after[reason] - before.get(reason, 0)) for reason in after}
    most = sorted(more.items(), key=lambda each: -each[1])
    told = ", ".join(f"{number:,} {reason}" for reason, number in most if number)
    return f" ({told})" if told else ""
