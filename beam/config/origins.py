"""Decides from which origins pages may connect, by `allowed_origins`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"
NULL: Final = "null"
"""Browsers send it for pages without an origin: a file, a sandboxed frame."""

_PORTS: Final = {"http": 80, "https": 443}
# Pages of these always have a host.
_WEB: Final = frozenset({*_PORTS, "ws", "wss"})
_ENTRY: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):)?//"
    r"(?P<host>\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])?"
    r"(?::(?P<port>\*|[0-9]{1,5}))?/?"
)
FORMS: Final = (
    "https://example.com, https://example.com:8443, https://*.example.com, "
    "//example.com, example.com, https://*, file://, null, *"
)


class BadOrigin(ValueError):
    """An entry of `allowed_origins` that no origin can match."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """An entry. An empty scheme, the host `*` and a missing port match any."""

    scheme: str
    host: str
    port: int | None

    def fits(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether an origin of these parts matches."""
        if self.scheme not in ("", scheme):
            return False
        if self.port not in (None, port or _PORTS.get(scheme)):
            return False
        if self.host.startswith("*."):
            return host == self.host[2:] or host.endswith(self.host[1:])
        return self.host in (ANY, host)


def read(entry: str) -> Pattern | None:
    """An entry of `allowed_origins`; None for `*` and `null`. Raises `BadOrigin`."""
    if entry in (ANY, NULL):
        return None
    if not entry.isascii():
        raise BadOrigin("is not ASCII: write its host as xn--...")
    text = entry.lower()
    found = _ENTRY.fullmatch(text if "//" in text else f"//{text}")
    if found is None:
        has_path = "/" in text.partition("//")[2].rstrip("/")
        raise BadOrigin(
            "has a path, which no origin has" if has_path else "is not an origin"
        )
    scheme, host, port = (found[part] or "" for part in ("scheme", "host", "port"))
    if not host and (port or scheme in _WEB or not scheme):
        raise BadOrigin("has no host")
    return Pattern(scheme, host.strip("[]"), _port(scheme, host, port))


def _port(scheme: str, host: str, port: str) -> int | None:
    """The port that an origin must have; None: any."""
    if not port:
        return None if host == ANY else _PORTS.get(scheme)
    if port == ANY:
        return None
    if not 0 < int(port) < 65_536:
        raise BadOrigin("has a port that does not exist")
    return int(port)


def is_allowed(origin: str | None, host: str, allowed: tuple[str, ...] | None) -> bool:
    """Whether a page of this origin may connect. No origin: a native client.

    `allowed` None or with `*` means any origin; an empty one means the host that
    the request was sent to.
    """
    if origin is None or allowed is None or ANY in allowed:
        return True
    if origin == NULL:
        return NULL in allowed
    try:
        asked = urlsplit(origin)
        parts = asked.scheme, asked.hostname or "", asked.port
        own = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not allowed:
        return bool(parts[1]) and parts[1] == own
    return bool(parts[0]) and any(_fits(entry, parts) for entry in allowed)


def _fits(entry: str, parts: tuple[str, str, int | None]) -> bool:
    pattern = _pattern(entry)
    return pattern is not None and pattern.fits(*parts)


@lru_cache(1_024)
def _pattern(entry: str) -> Pattern | None:
    """As `read`, but no origin matches an entry that cannot be read."""
    try:
        return read(entry)
    except BadOrigin:
        return None
