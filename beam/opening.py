"""Owns how a connection begins: as a WebSocket at once, or with daphne's HTTP.

daphne parses every request with Twisted, writes it anew and has autobahn parse
that. An ordinary opening handshake needs only the second half, which checks
everything that RFC 6455 section 4.2.1 asks for. Whatever is unusual about a
request (split, long, with a body, with odd characters) goes daphne's way.
"""

from __future__ import annotations

import re
from asyncio import AbstractEventLoop, TimerHandle
from typing import Any, Final

from twisted.internet.protocol import Factory, Protocol

# Possessive, so that no input takes more than linear time.
_HEAD: Final = re.compile(
    rb"GET (?:/[!-\"$->@-~]*+)(?:\?(?P<query>[!-\"$-~]*+))? HTTP/1\.1\r\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]++:[\t -~]*+\r\n)++\r\n"
)
_UPGRADE: Final = re.compile(rb"(?i:\r\nupgrade:[ \t]*websocket[ \t]*\r\n)")
_BODY: Final = re.compile(rb"(?i:\r\n(?:content-length|transfer-encoding):)")

# What Twisted's HTTP accepts; it also refuses what is longer.
MAX_HEAD: Final = 16_384

SILENT_SECONDS: Final = 60.0
"""How long a connection may say nothing, as in Twisted's HTTP."""


def handshake_query(data: bytes) -> bytes | None:
    """The query string, if the data is an ordinary, whole opening handshake.

    Answers None for anything else; whether the handshake may pass is not
    judged here.
    """
    if len(data) > MAX_HEAD or not _UPGRADE.search(data) or _BODY.search(data):
        return None
    head = _HEAD.fullmatch(data)
    return head and (head["query"] or b"")


class Opening(Protocol):
    """A connection that has said nothing yet."""

    def __init__(self, factory: OpeningFactory, address: Any) -> None:
        self._factory = factory
        self._address = address
        self._timer: TimerHandle | None = None

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Wait for the client, but not for ever."""
        transport: Any = self.transport
        self._timer = self._factory.loop.call_later(
            SILENT_SECONDS, transport.abortConnection
        )

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """The first bytes decide who goes on with this connection."""
        self._forget()
        protocol = self._factory.protocol_for(data, self._address)
        transport: Any = self.transport
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """The client went without a word."""
        self._forget()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class OpeningFactory(Factory):
    """Makes an `Opening` of every connection."""

    noisy = False

    def __init__(self, http: Any, websocket: Any, loop: AbstractEventLoop) -> None:
        """`http`, `websocket`: daphne's factories."""
        self.loop = loop
        self._http = http
        self._websocket = websocket

    def buildProtocol(self, addr: Any) -> Opening:  # noqa: N802 - Twisted's name
        """See Twisted's `Factory`."""
        return Opening(self, addr)

    def protocol_for(self, data: bytes, address: Any) -> Any:
        """Who reads on, given what came first."""
        query = handshake_query(data)
        if query is None:
            return self._http.buildProtocol(address)
        protocol = self._websocket.buildProtocol(address)
        # daphne's HTTP request hands it over like this.
        protocol._raw_query_string = query
        return protocol
