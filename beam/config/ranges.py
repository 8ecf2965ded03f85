"""The range of each setting that is a number."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from beam.config.conf import Conf


class Range(NamedTuple):
    """The least and the greatest accepted number."""

    least: float
    most: float


SHORTEST: Final = 0.001
# Longer than any of these times should be.
DAY: Final = 86_400
MOST: Final = 1_000_000_000

# Every number of `Conf` is in exactly one of them; a test checks it.
RANGES: Final[dict[Range, tuple[str, ...]]] = {
    # Seconds.
    Range(SHORTEST, DAY): (
        "jwks_seconds",
        "jwks_retry",
        "backend_timeout",
        "redis_timeout",
        "lease_seconds",
        "lease_renew",
        "idle_timeout",
        "login_pause",
        "outbound_seconds",
    ),
    Range(0, DAY): (
        "token_leeway",
        "backend_cache_seconds",
        "backend_pause",
        "presence_window",
        "presence_grace",
        "redis_start_timeout",
        "drain_seconds",
        "room_row_seconds",
    ),
    # Seconds; below 0: never.
    Range(-MOST, DAY): ("token_grace",),
    # Units per second.
    Range(SHORTEST, MOST): ("inbound_rate", "join_rate", "api_rate"),
    # Counts and bytes. A burst below 1 would admit nothing.
    Range(1, MOST): (
        "inbound_burst",
        "join_burst",
        "api_burst",
        "backend_failures",
        "max_concurrent_pages",
        "login_attempts",
        "max_channels",
        "max_message_bytes",
        "max_message_depth",
        "max_batch_bytes",
        "max_batch_rooms",
        "max_recipients",
        "max_meta_bytes",
        "max_frame_bytes",
        "inbound_limit",
        "outbound_limit",
        "max_presence_frame_bytes",
        "drain_batch",
    ),
    # 0: off, 1: on.
    Range(0, 1): ("strict_json",),
    # 0: unlimited, or off.
    Range(0, MOST): (
        "room_capacity",
        "room_user_sessions",
        "room_presence_bytes",
        "failures_before_delay",
        "room_rows",
        "forget_days",
        "max_user_connections",
        "max_ip_connections",
        "trusted_proxies",
    ),
}


def wanted_number(name: str, value: Any) -> str:
    """What the setting must be, for an error message; "" if `value` is valid."""
    is_whole = type(getattr(Conf(), name)) is int
    least, most = next(each for each, names in RANGES.items() if name in names)
    # False for NaN, too.
    if type(value) in ((int,) if is_whole else (int, float)) and least <= value <= most:
        return ""
    return f"a {'whole ' if is_whole else ''}number from {least:,} to {most:,}"
