"""Owns the warnings that admins see: log lines, and counters that should not grow."""

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
    "connections_refused": "Connections refused",
    "joins_refused": "Joins refused",
    "slow_consumers_closed": "Slow clients closed",
    "bad_frames": "Connections closed after an invalid frame",
    "channel_crashes": "Channels that crashed",
    "channels_overflowed": "Channels ended: too many events waited for them",
    "clients_slowed": "Pauses of clients that send too fast",
    "answers_delayed": "Answers delayed: a client fails repeatedly",
    "api_limited": "REST requests refused: above api_rate",
    "api_unauthorized": "REST requests refused: wrong secret or key",
    "api_forbidden": "REST requests refused: the key lacks the scope",
    "events_unpublished": "Events not published; their senders got an error",
    "mailbox_errors": "Failed reads of the hub's mailbox",
    "events_undeliverable": "Binary events not sent: the client cannot read them",
    "gaps_announced": "Rooms that may have missed events",
    "subscription_reconnects": "Subscriptions to Redis that delivered nothing",
    "processes_reaped": "Dead processes reaped",
    "decodes_failed": "Failed decode_token calls",
    "jwks_failed": "Failed fetches of the identity provider's keys",
    "rooms_unwritten": "Rooms without a row in the database",
    "fan_out_failures": "Failed fan-outs: not all members got the events",
    "server_errors": "Errors inside the server",
    "api_failed": "Failed REST requests",
    "pages_failed": "Failed pages",
}
"""The text of a warning, by the counter whose growth causes it."""

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
"""The counters that the chart of errors in the live view adds up."""


class Recorder(logging.Handler):
    """Keeps the last warnings and errors of Beam's own loggers."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[dict[str, Any]] = deque(maxlen=MAX_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a log line, without its traceback."""
        level = record.levelname.lower()
        text = record.getMessage()
        self._kept.append({"at": record.created, "level": level, "text": text})

    def install(self) -> None:
        """Attach to the loggers. A second call does nothing."""
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self)

    def take(self) -> list[dict[str, Any]]:
        """Return the lines that are kept, and remove them."""
        taken = list(self._kept)
        self._kept.clear()
        return taken

    def put_back(self, records: list[dict[str, Any]]) -> None:
        """Keep lines that could not be reported yet; of too many, the newest."""
        self._kept = deque([*records, *self._kept], MAX_KEPT)


recorder = Recorder()


def counter_warnings(before: ProcessStats, after: ProcessStats) -> list[dict[str, Any]]:
    """A warning for each counter in `TEXTS` that grew, with the reasons."""
    found = []
    for name, text in TEXTS.items():
        if more := int(after.counters[name] - before.counters[name]):
            why = _reasons(before.reasons.get(name, {}), after.reasons.get(name, {}))
            line = f"{text}: {more:,}{why}"
            found.append({"at": time.time(), "level": "warning", "text": line})
    return found


def _reasons(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """By how much a counter grew for each reason, the largest first."""
    more = {reason: int(after[reason] - before.get(reason, 0)) for reason in after}
    most = sorted(more.items(), key=lambda each: -each[1])
    listed = ", ".join(f"{number:,} {reason}" for reason, number in most if number)
    return f" ({listed})" if listed else ""
