"""The rules of a connect request: params, version, origin, subprotocol.

Sections 1.1 to 1.4 and 2.3 of the Phoenix wire protocol. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Final

from beam.config.origins import is_allowed
from rooms.protocol.frame import Vsn
from rooms.protocol.query_params import InvalidParams, parse_params

TOKEN_PREFIX = "base64url.bearer.phx."  # noqa: S105 - a prefix, no secret
SUBPROTOCOLS = ("phoenix",)
LONGEST_ORIGIN = 100

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)


# Some clients never reconnect after 403: it is for what will not change.
REFUSED_FOR_GOOD: Final = 403
STATUSES: Final = {
    "path": 404,
    "limit": 429,
    "failed": 500,
    "unavailable": 503,
    "draining": 503,
}
RETRY_AFTER: Final = {"limit": 10, "unavailable": 5, "draining": 1}
"""Seconds, by reason: until another connection may have ended, the backend is
called again, another process has taken over."""


class Refused(Exception):
    """The handshake is refused; message and reason are for the log.

    `reason` is a label of the metric `connections_refused`. It determines `status`,
    an HTTP status, and `headers`.
    """

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message)
        self.reason = reason
        self.status = STATUSES.get(reason, REFUSED_FOR_GOOD)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The answer's headers: when a client may try again."""
        seconds = RETRY_AFTER.get(self.reason)
        return [] if seconds is None else [(b"retry-after", b"%d" % seconds)]


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a connect request contains. Params are as the client sent them."""

    vsn: Vsn
    params: dict[str, Any] = field(repr=False)
    auth_token: str | None = field(repr=False)
    subprotocol: str | None


def negotiate(
    query: bytes,
    offered: list[str],
    origin: str | None,
    host: str,
    allowed: tuple[str, ...] | None,
) -> Handshake:
    """Check a connect request, in Phoenix's order.

    `allowed`: the list of origins; None allows any, an empty list only the host
    of the request. Raises `Refused`.
    """
    if not is_allowed(origin, host, allowed):
        raise _origin_refused(origin, allowed)
    auth_token, rest = extract_token(offered)
    subprotocol = choose_subprotocol(rest)
    try:
        params = parse_params(query)
    except InvalidParams as error:
        raise Refused(str(error)) from None
    return Handshake(choose_vsn(params), params, auth_token, subprotocol)


def _origin_refused(origin: str | None, allowed: tuple[str, ...] | None) -> Refused:
    """Names the origin: a browser does not show its page why it was refused."""
    asked = repr(origin)[:LONGEST_ORIGIN]
    where = "in BEAM_ALLOWED_ORIGINS" if allowed else "the host that was asked"
    more = "" if allowed else "; BEAM_ALLOWED_ORIGINS can list it"
    return Refused(f"the origin {asked} is not {where}{more}", "origin")


def extract_token(offered: list[str]) -> tuple[str | None, list[str]]:
    """The client option `authToken`: (token, the other subprotocols).

    Of two or more tokens none is used. Both base64 alphabets are accepted, with
    or without padding. Raises `Refused` for anything else.
    """
    tokens = [item for item in offered if item.startswith(TOKEN_PREFIX)]
    if len(tokens) != 1:
        return None, offered
    text = tokens[0].removeprefix(TOKEN_PREFIX).replace("-", "+").replace("_", "/")
    text = text.rstrip("=")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("auth token is not base64") from None
    # btoa() encodes the token's Latin-1 bytes.
    return raw.decode("latin-1"), [item for item in offered if item != tokens[0]]


def choose_subprotocol(offered: list[str]) -> str | None:
    """The first of ours that was offered. Raises `Refused` if none fits."""
    if not offered:
        return None
    for ours in SUBPROTOCOLS:
        if ours in offered:
            return ours
    raise Refused("no known subprotocol")


def choose_vsn(params: dict[str, Any]) -> Vsn:
    """The serializer of `vsn`: 1.0.x is V1, 2.0.x is V2, missing is V1.

    Raises `Refused` for every other version.
    """
    vsn = params.get("vsn", "1.0.0")
    match = _SEMVER.fullmatch(vsn) if isinstance(vsn, str) else None
    if match is None:
        raise Refused("vsn is not a version", "vsn")
    major, minor, patch, pre = match.groups()
    # A pre-release sorts before its release: 2.0.0-rc.1 is below 2.0.0.
    if minor != "0" or major not in ("1", "2") or (pre and patch == "0"):
        raise Refused("vsn is not supported", "vsn")
    return Vsn(major)
