"""The reasons of error replies. Pure."""

from __future__ import annotations

import enum


class Reason(enum.StrEnum):
    """Why a request was refused: `response.reason` of an error reply.

    The first three are Phoenix's own words. Each has a row in
    `docs/protocol.md`.
    """

    UNMATCHED_TOPIC = "unmatched topic"
    JOIN_CRASHED = "join crashed"
    TOO_MANY_CHANNELS = "too many channels joined"
    UNAUTHORIZED = "unauthorized"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    INVALID_PAYLOAD = "invalid_payload"
    INVALID_ROOM_ID = "invalid_room_id"
    RESERVED_EVENT = "reserved_event"
    MESSAGE_TOO_LARGE = "message_too_large"
    MESSAGE_TOO_DEEP = "message_too_deep"
    SHUTTING_DOWN = "shutting_down"
    ROOM_CLOSED = "room_closed"
    ROOM_FULL = "room_full"
    TOO_MANY_SESSIONS = "too_many_sessions"
    PRESENCE_FULL = "presence_full"
    BLOCKED = "blocked"
    RATE_LIMITED = "rate_limited"
