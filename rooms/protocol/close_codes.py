"""The close codes of WebSockets. Pure."""

from __future__ import annotations

import enum


class Close(enum.IntEnum):
    """WebSocket close codes that Beam sends (RFC 6455 section 7.4).

    phoenix.js up to 1.8.15 reconnects after every code but 1000, so Beam never
    sends 1000 first. Each has a row in `docs/protocol.md`.
    """

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    INVALID_UTF8 = 1007
    TOO_BIG = 1009
    BAD_FRAME = 1011
    RESTART = 1012
    SLOW_CONSUMER = 1013
