"""Owns all counters and histograms of this process.

`docs/operations.md` has a row for each. They are plain numbers, so that an increment
on the message path costs next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

OTHER: Final = "other"


@dataclass(slots=True)
class Counter:
    """A number that only grows.

    `reasons`: for a counter by reason, the part of `value` of each reason; all
    reasons are there from the start.
    """

    name: str
    help: str
    value: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def count(self, reason: str) -> None:
        """Count one, for a reason; an unknown reason counts as `OTHER`."""
        self.value += 1
        known = reason.replace(" ", "_")
        self.reasons[known if known in self.reasons else OTHER] += 1


@dataclass(slots=True)
class Histogram:
    """Numbers of values up to each bound; the last one is of values above all."""

    name: str
    help: str
    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


COUNTERS: dict[str, Counter] = {}
HISTOGRAMS: dict[str, Histogram] = {}


def _counter(name: str, text: str, *reasons: str) -> Counter:
    COUNTERS[name] = Counter(name, text)
    if reasons:
        COUNTERS[name].reasons = dict.fromkeys((*reasons, OTHER), 0)
    return COUNTERS[name]


def _histogram(name: str, text: str, bounds: tuple[float, ...]) -> Histogram:
    HISTOGRAMS[name] = Histogram(name, text, bounds)
    return HISTOGRAMS[name]


LATENCY = _histogram(
    "delivery_latency_seconds",
    "Seconds from publishing an event to writing it, for each process that receives it",
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
FAN_OUT = _histogram(
    "fan_out_members",
    "Members of a room that got an event in one process, the sender included",
    (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
)
CONNECTED = _counter("connections_opened", "WebSocket connections accepted")
REFUSED = _counter(
    "connections_refused",
    "Refused WebSocket handshakes, by reason",
    "malformed",
    "origin",
    "vsn",
    "token",
    "session",
    "limit",
    "unavailable",
    "draining",
    "path",
    "failed",
)
CLOSED = _counter(
    "connections_closed",
    "WebSocket connections ended, by reason",
    "closed_by_client",
    "lost",
    "idle",
    "slow_consumer",
    "bad_frame",
    "too_big",
    "invalid_utf8",
    "protocol_error",
    "going_away",
    "restart",
    "session",
    "failed",
)
FRAMES_IN = _counter(
    "frames_in", "Frames read from clients, including heartbeats, joins and leaves"
)
ROOM_MESSAGES = _counter(
    "room_messages",
    "Messages to rooms from members and backends, without heartbeats, joins, leaves",
)
BAD_FRAMES = _counter("bad_frames", "Sockets closed with 1011 for a bad frame")
STALE = _counter("frames_stale", "Frames dropped for a stale join_ref")
JOINS = _counter("joins", "Channels joined")
JOINS_REFUSED = _counter(
    "joins_refused",
    "Joins answered with an error, by reason",
    "unmatched_topic",
    "too_many_channels_joined",
    "invalid_payload",
    "invalid_room_id",
    "unauthorized",
    "room_closed",
    "room_full",
    "too_many_sessions",
    "presence_full",
    "blocked",
    "rate_limited",
    "unavailable",
    "shutting_down",
    "join_crashed",
)
CRASHES = _counter("channel_crashes", "Channels that ended with an exception")
PUBLISHED = _counter("events_published", "Events accepted by the channel layer")
UNPUBLISHED = _counter("events_unpublished", "Events that the channel layer refused")
DELIVERED = _counter("events_delivered", "Copies of events written to sockets")
DROPPED = _counter(
    "events_dropped",
    "Copies of events for sockets that were closing or read too slowly",
)
FAN_OUT_FAILED = _counter(
    "fan_out_failures", "Turns in which the delivery of a topic failed: a bug"
)
UNDELIVERABLE = _counter(
    "events_undeliverable",
    "Copies of binary events for clients with serializer V1, which has none",
)
MAILBOX_ERRORS = _counter("mailbox_errors", "Failed reads of the hub's mailbox")
SLOW_CONSUMERS = _counter(
    "slow_consumers_closed", "Sockets closed with 1013: above the outbound limit"
)
DELAYED = _counter(
    "answers_delayed",
    "Handshakes and replies delayed after quick failures of the client, by kind",
    "connect",
    "join",
    "crash",
)
SLOWED = _counter("clients_slowed", "Pauses of clients above the inbound rate")
PAUSED = _counter(
    "clients_paused", "Pauses of clients with too many waiting bytes (inbound_limit)"
)
OVERFLOWS = _counter(
    "channels_overflowed", "Channels that ended because too many events waited"
)
UNTRACK_FAILED = _counter(
    "untrack_failures",
    "Presence entries that could not be removed, as Redis was unavailable",
)
REAPED = _counter(
    "processes_reaped", "Dead processes whose members this process removed"
)
GAPS = _counter("gaps_announced", "Rooms whose members got beam_gap")
SUBSCRIPTIONS_RENEWED = _counter(
    "subscription_reconnects",
    "Subscriptions to Redis that did not deliver and were replaced, by reason",
    "silent",
    "forgotten",
)
RESYNCED = _counter(
    "presence_resynced", "Rooms whose members got a fresh presence_state"
)
JOINS_LIMITED = _counter("joins_limited", "Joins refused with rate_limited")
CONNECTIONS_LIMITED = _counter(
    "connections_limited",
    "Connections refused with 429: too many of a user or client IP",
)
API_LIMITED = _counter("api_limited", "REST requests answered with 429")
TOKENS_EXPIRED = _counter("tokens_expired", "Members whose room token expired")
API_FORBIDDEN = _counter("api_forbidden", "REST requests answered with 403")
API_UNAUTHORIZED = _counter("api_unauthorized", "REST requests answered with 401")
DECODES_FAILED = _counter("decodes_failed", "Failed calls of decode_token")
DECODES_SKIPPED = _counter(
    "decodes_skipped",
    "Calls of decode_token that were left out after failures of the backend",
)
JWKS_FAILED = _counter("jwks_failed", "Fetches of the JWKS that failed")
BACKEND_EVENTS_UNRECORDED = _counter(
    "backend_events_unrecorded",
    "Events of backends that are missing in the lists of recent events",
)
ROOMS_UNWRITTEN = _counter(
    "rooms_unwritten", "Rooms that got no row, because too many waited for the database"
)
ROOMS_FORGOTTEN = _counter("rooms_forgotten", "Deleted rows of unused rooms")
BODIES_REFUSED = _counter(
    "bodies_refused", "HTTP requests with a body above every limit: 413"
)
API_INVALID = _counter(
    "api_invalid", "REST requests answered with 400, 413, 415 or 422"
)
API_NOT_FOUND = _counter("api_not_found", "REST requests answered with 404 or 405")
API_UNAVAILABLE = _counter("api_unavailable", "REST requests answered with 503")
API_FAILED = _counter("api_failed", "REST requests answered with 500: a bug")
MESSAGES_REFUSED = _counter(
    "messages_refused",
    "Messages of clients that got an error reply, by reason",
    "unmatched_topic",
    "invalid_payload",
    "reserved_event",
    "message_too_large",
    "message_too_deep",
    "forbidden",
    "unauthorized",
    "unavailable",
    "rate_limited",
    "presence_full",
)
MESSAGES_DROPPED = _counter(
    "messages_dropped",
    "Messages of clients that waited when their channel or connection ended",
)
BATCH_ITEMS_REFUSED = _counter("batch_items_refused", "Invalid events in batches")
BAD_REQUESTS = _counter("bad_requests", "HTTP requests that cannot be parsed: 400")
PAGES_REFUSED = _counter(
    "pages_refused", "Requests of the admin and other pages answered with 400 or 403"
)
PAGES_FAILED = _counter(
    "pages_failed", "Requests of the admin and other pages answered with 500: a bug"
)
LOGINS_FAILED = _counter("logins_failed", "Wrong passwords in the login of the admin")
LOGINS_LIMITED = _counter(
    "logins_limited", "Logins of admins refused with 429: too many attempts"
)
PAGES_UNAVAILABLE = _counter(
    "pages_unavailable",
    "Requests of the admin and other pages answered with 503",
)
SERVER_ERRORS = _counter(
    "server_errors", "Errors in the server, each of them logged: a bug"
)
