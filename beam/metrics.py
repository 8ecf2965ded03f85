"""Owns every counter of this process, in one table.

`docs/operations.md` has a row for each. A plain integer: an increment on the
message path costs nothing worth naming.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counter:
    """A number that only grows, and what it counts."""

    name: str
    help: str
    value: int = 0


COUNTERS: dict[str, Counter] = {}


def _counter(name: str, text: str) -> Counter:
    COUNTERS[name] = Counter(name, text)
    return COUNTERS[name]


CONNECTED = _counter("connections_opened", "WebSocket connections accepted")
REFUSED = _counter("connections_refused", "Connect requests answered with 403")
CLOSED = _counter("connections_closed", "WebSocket connections ended")
FRAMES_IN = _counter("frames_in", "Frames read from clients")
BAD_FRAMES = _counter("bad_frames", "Sockets closed with 1011 for a bad frame")
STALE = _counter("frames_stale", "Frames dropped for a stale join_ref")
JOINS = _counter("joins", "Channels joined")
JOINS_REFUSED = _counter("joins_refused", "Joins answered with an error")
CRASHES = _counter("channel_crashes", "Channels that raised")
PUBLISHED = _counter("events_published", "Events taken by the channel layer")
UNPUBLISHED = _counter("events_unpublished", "Events the channel layer refused")
DELIVERED = _counter("events_delivered", "Copies of events written to sockets")
UNDELIVERABLE = _counter(
    "events_undeliverable", "Copies a socket's serializer cannot say (binary on V1)"
)
MAILBOX_ERRORS = _counter("mailbox_errors", "Failed reads of the hub's mailbox")
SLOW_CONSUMERS = _counter("slow_consumers_closed", "Sockets over the outbound limit")
SLOWED = _counter("clients_slowed", "Pauses of clients above the inbound rate")
UNTRACK_FAILED = _counter(
    "untrack_failures", "Presence entries left until Redis is back"
)
REAPED = _counter("processes_reaped", "Dead processes whose members were taken out")
GAPS = _counter("gaps_announced", "Rooms told that they may have missed events")
RESYNCED = _counter("presence_resynced", "Rooms given a fresh presence state")
JOINS_LIMITED = _counter("joins_limited", "Joins refused with rate_limited")
CONNECTIONS_LIMITED = _counter(
    "connections_limited", "Connects refused for too many of a user or an address"
)
API_LIMITED = _counter("api_limited", "REST requests answered with 429")
TOKENS_EXPIRED = _counter("tokens_expired", "Members whose room token ran out")
API_FORBIDDEN = _counter("api_forbidden", "REST requests answered with 403")
API_REFUSED = _counter("api_refused", "REST requests answered with 401")
DECODES_FAILED = _counter("decodes_failed", "Tokens that the backend did not decode")
DECODES_SKIPPED = _counter(
    "decodes_skipped", "Tokens not asked about, since the backend failed of late"
)
