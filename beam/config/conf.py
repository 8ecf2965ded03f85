"""The list of all settings of Beam, with types and defaults.

`settings.BEAM` overrides them by name. `docs/settings.md` has a row for each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from django.conf import settings

from beam.loops import per_settings


@dataclass(frozen=True, slots=True)
class Conf:
    """The settings of Beam. Sizes are in bytes, times in seconds."""

    api_secrets: tuple[str, ...] = field(default=(), repr=False)
    token_secrets: tuple[str, ...] = field(default=(), repr=False)
    token_public_key: str = ""
    token_jwks_url: str = ""
    token_issuer: str = ""
    token_audience: str = ""
    token_user_claim: str = "user_id"
    token_room_claim: str = "room_id"
    token_leeway: float = 30.0
    token_grace: float = 60.0
    jwks_seconds: float = 300.0
    jwks_retry: float = 30.0
    backend_url: str = ""
    backend_timeout: float = 2.0
    backend_cache_seconds: float = 30.0
    backend_failures: int = 5
    backend_pause: float = 5.0
    verifier: str = "rooms.auth.verifier.default_verifier"
    # None: any origin. Empty: the host of the request.
    allowed_origins: tuple[str, ...] | None = ()
    redis_url: str = ""
    redis_prefix: str = "beam"
    redis_timeout: float = 2.0
    redis_start_timeout: float = 5.0
    lease_seconds: float = 15.0
    lease_renew: float = 5.0
    channels: dict[str, str] = field(default_factory=dict)
    presence_window: float = 0.05
    presence_grace: float = 0.0
    room_capacity: int = 0
    room_user_sessions: int = 100
    room_presence_bytes: int = 16_777_216
    room_policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    idle_timeout: float = 60.0
    inbound_rate: float = 2_000.0
    inbound_burst: float = 1_000.0
    join_rate: float = 5_000.0
    join_burst: float = 20_000.0
    api_rate: float = 5_000.0
    api_burst: float = 5_000.0
    max_user_connections: int = 0
    max_ip_connections: int = 0
    trusted_proxies: int = 0
    proxy_networks: str = ""
    metrics_allow: str = ""
    room_row_seconds: float = 60.0
    room_rows: int = 100_000
    forget_days: int = 30
    max_concurrent_pages: int = 6
    login_attempts: int = 5
    login_pause: float = 60.0
    max_channels: int = 100
    max_message_bytes: int = 65_536
    max_message_depth: int = 64
    max_batch_bytes: int = 1_048_576
    max_batch_rooms: int = 1_000
    max_recipients: int = 1_000
    max_meta_bytes: int = 4_096
    max_frame_bytes: int = 1_048_576
    inbound_limit: int = 1_048_576
    outbound_limit: int = 1_048_576
    strict_json: int = 0
    failures_before_delay: int = 20
    outbound_seconds: float = 10.0
    max_presence_frame_bytes: int = 1_000_000
    drain_seconds: float = 10.0
    drain_batch: int = 200


@per_settings
def conf() -> Conf:
    """The current settings. Raises `TypeError` for an unknown name."""
    return Conf(**getattr(settings, "BEAM", {}))


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse a comma-separated list of networks. Raises `ValueError`."""
    parts = (part.strip() for part in text.split(","))
    return tuple(ip_network(part) for part in parts if part)
