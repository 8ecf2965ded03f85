"""Reads `REDIS_URL`: one server, or a master that Sentinels name.

    redis://[user[:password]@]host[:port][/db]       rediss:// the same over TLS
    unix://[user[:password]@]/path/to/socket?db=0
    redis+sentinel://[user[:password]@]host[:port][,host[:port]...]/service[/db]
    rediss+sentinel:// the same over TLS, Sentinels too

Query parameters are those of redis-py (`?ssl_ca_certs=/path`). For Sentinels with
their own user, set `sentinel_username` and `sentinel_password`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

SENTINEL = "+sentinel"
SENTINEL_PORT = 26379
SCHEMES = ("redis", "rediss", "unix", "redis" + SENTINEL, "rediss" + SENTINEL)


class BadUrl(ValueError):
    """An invalid URL. The text contains no part of a password."""


UNREADABLE = (
    "it is not a URL: a port is a number, and in a user or password / ? # @ [ ] % are "
    "written as %2F and so on"
)


WRONG_DATABASE = "the database must be a whole number, such as redis://localhost:6379/1"


@dataclass(frozen=True)
class Master:
    """A service, and the Sentinels that know the address of its master.

    `options`, `sentinel_options`: of connections of redis-py.
    """

    service: str
    sentinels: tuple[tuple[str, int], ...]
    options: dict[str, Any]
    sentinel_options: dict[str, Any]


def parse(url: str) -> str | Master:
    """Parse a URL. Returns the URL itself for a single server. Raises `BadUrl`."""
    scheme, separator, _ = url.lower().partition("://")
    if scheme not in SCHEMES:
        kinds = ", ".join(f"{each}://" for each in SCHEMES)
        given = f", not {scheme!r}" if separator else ""
        raise BadUrl(f"it must begin with one of {kinds}{given}")
    parts = _split(url)
    try:
        if scheme.endswith(SENTINEL):
            found = _master(parts)
            _check_database(found.options.get("db", 0))
            return found
        _check_database(_single_database(parts, url))
    except (ValueError, TypeError) as error:
        raise BadUrl(str(error)) from None
    return url


def database(url: str) -> int:
    """The number of the database. Raises `BadUrl`."""
    found = parse(url)
    if isinstance(found, Master):
        return int(found.options["db"])
    return _single_database(_split(url), url)


def channel_prefix(prefix: str, url: str) -> str:
    """The beginning of the names of pub/sub channels. Raises `BadUrl`.

    Redis delivers a message to subscribers of all databases, so the name contains
    the number of the database.
    """
    return f"{prefix}:{database(url)}:"


def _single_database(parts: SplitResult, url: str) -> int:
    options = parse_url(url)
    path = parts.path.strip("/")
    # redis-py ignores a path that is not a number.
    if parts.scheme != "unix" and path and not path.isdecimal():
        raise ValueError(WRONG_DATABASE)
    return int(options.get("db", 0))


def _check_database(number: int) -> None:
    if number < 0:
        raise ValueError(WRONG_DATABASE)


def _split(url: str) -> SplitResult:
    """Raises `BadUrl` in place of the error of Python, which quotes the URL."""
    try:
        parts = urlsplit(url)
        # Several Sentinels have several ports: `_address` reads them.
        _ = None if parts.scheme.endswith(SENTINEL) else parts.port
    except ValueError:
        raise BadUrl(UNREADABLE) from None
    return parts


def _master(parts: SplitResult) -> Master:
    login, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError(
            "the path must name the service: redis+sentinel://host/service"
        )
    if database and not database.isdecimal():
        raise ValueError(WRONG_DATABASE)
    query = dict(parse_qsl(parts.query))
    sentinel: dict[str, Any] = {
        name: query.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }
    at = f"{login}@" if login else ""
    scheme = parts.scheme.removesuffix(SENTINEL)
    single = f"{scheme}://{at}master/{database or 0}?{urlencode(query)}"
    options: dict[str, Any] = {**parse_url(single)}
    del options["host"]
    if options.pop("connection_class", None) is SSLConnection:
        options["ssl"] = sentinel["ssl"] = True
        sentinel |= {k: v for k, v in options.items() if k.startswith("ssl_")}
    return Master(service, tuple(map(_address, hosts.split(","))), options, sentinel)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.strip().rpartition(":") if _has_port(text) else (text, "", "")
    if not host.strip("[] "):
        raise ValueError("the host of a Sentinel is missing")
    try:
        return host.strip().strip("[]"), int(port or SENTINEL_PORT)
    except ValueError:
        raise ValueError("the port of a Sentinel must be a number") from None


def _has_port(text: str) -> bool:
    return ":" in text.rpartition("]")[2]


def place(url: str) -> str:
    """The address in a URL, without user and password. Raises `BadUrl`."""
    found = parse(url)
    if isinstance(found, Master):
        sentinels = ", ".join(f"{host}:{port}" for host, port in found.sentinels)
        return f"the master of {found.service} (Sentinels: {sentinels})"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def connect(url: str, seconds: float) -> Redis:
    """Create a client, which connects on first use. Raises `BadUrl`.

    It does not retry: a command without an answer may have been carried out.
    `seconds`: timeout for connecting, and for each answer.
    """
    place = parse(url)
    limits: dict[str, Any] = {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
    }
    retry = Retry(NoBackoff(), 0)
    if isinstance(place, str):
        return Redis.from_url(place, **limits, retry=retry)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        place.sentinels, sentinel_kwargs=limits | place.sentinel_options
    )
    client: Redis = sentinel.master_for(
        place.service, **limits | place.options, retry=retry
    )
    return client
