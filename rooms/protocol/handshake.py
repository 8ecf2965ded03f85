"""Owns the rules of a connect request: params, version, origin, subprotocol.

Sections 1.1 to 1.4 and 2.3 of the Phoenix wire protocol. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from beam.config.origins import is_allowed
from rooms.protocol.messages import Vsn

TOKEN_PREFIX = "base64url.bearer.phx."  # noqa: S105 - a prefix, no secret
SUBPROTOCOLS = ("phoenix",)
MAX_PARAMS = 200
MAX_NESTING = 8
LONGEST_ORIGIN = 100

_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


# Some clients never come back after 403: it is for what will not change.
REFUSED_FOR_GOOD: Final = 403
STATUSES: Final = {
    "path": 404,
    "limit": 429,
    "failed": 500,
    "unavailable": 503,
    "draining": 503,
}
RETRY_AFTER: Final = {"limit": 10, "unavailable": 5, "draining": 1}
"""Seconds, by reason: until a connection may have ended, the backend be asked
again, another process have taken over."""


class Refused(Exception):
    """The handshake is refused; message and reason are for the log.

    `reason` is one of those that `connections_refused` counts by. It decides
    about `status`, an HTTP status, and about `headers`.
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
    """What a connect request said. Params are as the client sent them."""

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

    `allowed` is the list of origins; None means any, an empty one means the
    host that was asked. Raises `Refused`.
    """
    if not is_allowed(origin, host, allowed):
        raise _origin_refused(origin, allowed)
    auth_token, rest = extract_token(offered)
    subprotocol = choose_subprotocol(rest)
    params = parse_params(query)
    return Handshake(choose_vsn(params), params, auth_token, subprotocol)


def _origin_refused(origin: str | None, allowed: tuple[str, ...] | None) -> Refused:
    """Names the origin: a browser does not tell its page why it was refused."""
    asked = repr(origin)[:LONGEST_ORIGIN]
    where = "in BEAM_ALLOWED_ORIGINS" if allowed else "the host that was asked"
    more = "" if allowed else "; BEAM_ALLOWED_ORIGINS can list it"
    return Refused(f"the origin {asked} is not {where}{more}", "origin")


def extract_token(offered: list[str]) -> tuple[str | None, list[str]]:
    """The client option `authToken`: (token, the other subprotocols).

    Two or more such elements: none is taken. Both base64 alphabets, with or
    without padding. Raises `Refused` for what is neither.
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
    """`vsn` as a semantic version: 1.0.x is V1, 2.0.x is V2, missing is V1.

    Raises `Refused` for every other.
    """
    vsn = params.get("vsn", "1.0.0")
    match = _SEMVER.fullmatch(vsn) if isinstance(vsn, str) else None
    if match is None:
        raise Refused("vsn is no version", "vsn")
    major, minor, patch, pre = match.groups()
    # A pre-release sorts before its release: 2.0.0-rc.1 is below 2.0.0.
    if minor != "0" or major not in ("1", "2") or (pre and patch == "0"):
        raise Refused("vsn is not supported", "vsn")
    return Vsn(major)


def parse_params(query: bytes) -> dict[str, Any]:
    """A query string as Plug reads it: `a[b]=1` nests, `a[]=1` is a list.

    Empty pairs (`a=1&&b=2`) are skipped, of a repeated key the last wins.
    Raises `Refused` for invalid UTF-8 or far too many params.
    """
    params: dict[str, Any] = {}
    pairs = [pair for pair in query.split(b"&") if pair]
    if len(pairs) > MAX_PARAMS:
        raise Refused("too many params")
    for pair in pairs:
        key, _, value = pair.partition(b"=")
        assign(params, _text(key), _text(value))
    return params


def _text(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Refused("query is not UTF-8") from None


def assign(params: dict[str, Any], key: str, value: str) -> None:
    """Put a pair where its brackets say, as Plug does. Raises `Refused`."""
    match = _KEY.fullmatch(key)
    if match is None:
        params[key] = value
        return
    name, rest = match.groups()
    steps = rest[1:-1].split("][") if rest else []
    if len(steps) > MAX_NESTING:
        raise Refused("params nested too deeply")
    place = params
    for step in steps:
        if step == "":
            # `a[]=1`: what would follow a list's brackets has no meaning here.
            place[name] = [*_as(list, place.get(name)), value]
            return
        inner: dict[str, Any] = _as(dict, place.get(name))
        place[name] = inner
        place, name = inner, step
    place[name] = value


def _as(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else kind()


def client_address(peer: str, forwarded: str, proxies: int) -> str:
    """The address of a client behind so many proxies of one's own.

    `forwarded`: `X-Forwarded-For`, to which each proxy adds who came to it. What
    stands before the places of the own proxies is the client's word, and not
    believed.
    """
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    if not 0 < proxies <= len(hops):
        return peer
    return _without_port(hops[-proxies])


def _without_port(hop: str) -> str:
    """`1.2.3.4:80` and `[::1]:80` as some proxies write them."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
