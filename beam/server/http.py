"""Owns how a connection begins: as a WebSocket at once, or with daphne's HTTP.

Also how that ends early: daphne takes a body of any size, whole, before anyone
is asked whether it may come. Here it is refused as soon as it is too large.

daphne parses every request with Twisted, writes it anew and has autobahn parse
that. An ordinary opening handshake needs only the second half, which checks
everything that RFC 6455 section 4.2.1 asks for. Whatever is unusual about a
request (split, long, with a body, with odd characters) goes daphne's way.
"""

from __future__ import annotations

import re
from asyncio import AbstractEventLoop, TimerHandle
from functools import partial
from typing import Any, Final

from daphne.http_protocol import WebRequest
from twisted.internet.protocol import Factory, Protocol
from twisted.web.http import HTTPChannel

from beam.server.body_limit import TooLarge, limit, refuse
from beam.telemetry import metrics

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

LINGER_SECONDS: Final = 2.0
"""How long a client that sends too much has to read the answer."""

LINGER_BYTES: Final = 1_048_576
"""How much of what it sends meanwhile is dropped; more is not read."""


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


class Request(WebRequest):  # type: ignore[misc]
    """daphne's request, with a body of bounded size."""

    _size = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a part of the body. Raises `TooLarge` for what is over the limit."""
        self._size += len(data)
        if self._size > limit():
            raise TooLarge
        super().handleContentChunk(data)

    def __repr__(self) -> str:
        """Without the query: daphne logs requests that do not end."""
        path = self.uri.partition(b"?")[0]
        return f"<Request {_text(self.method)} {_text(path)}>"


class HttpChannel(HTTPChannel):
    """Twisted's HTTP, which answers a body that is too large while it comes in."""

    _refused = False
    _spare = LINGER_BYTES
    _lingering: Any = None

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        """See Twisted's `HTTPChannel`, which fails at a length of 5,000 digits."""
        try:
            is_good: bool = super().headerReceived(line)  # type: ignore[no-untyped-call]
        except ValueError:
            self._refuse()
            return False
        return is_good

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        """The body comes next, unless its length is over the limit.

        The client is not told to go on then, if it asked.
        """
        if self.length is not None and self.length > limit():
            self._refuse()
        else:
            super().allHeadersReceived()  # type: ignore[no-untyped-call]

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        metrics.BAD_REQUESTS.value += 1
        super()._respondToBadRequestAndDisconnect()  # type: ignore[no-untyped-call]

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """A part of a body."""
        if self._refused:
            self._drop(data)
            return
        try:
            super().rawDataReceived(data)
        except TooLarge:
            self._refuse()

    def _refuse(self) -> None:
        """Answer at once; nothing more is said on this connection, nor heard.

        Closing it while bytes come in would have the client's system throw the
        answer away: it is closed on this side, and for good a moment later.
        """
        self._refused = True
        twisted: Any = self
        twisted.setRawMode()
        twisted.setTimeout(None)
        twisted.transport.unregisterProducer()
        twisted.transport.write(_refusal())
        twisted.transport.loseWriteConnection()
        self._lingering = twisted.callLater(LINGER_SECONDS, self._abort)

    def _abort(self) -> None:
        self._lingering = None
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """The client disconnected, or was disconnected."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _drop(self, data: bytes) -> None:
        """A client that is nearly done may say the rest; then reading stops."""
        self._spare -= len(data)
        if self._spare < 0:
            transport: Any = self.transport
            transport.pauseProducing()


def _text(data: bytes) -> str:
    return data.decode("ascii", "backslashreplace")


def _refusal() -> bytes:
    body = refuse()
    head = (
        "HTTP/1.1 413 Content Too Large\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


class OpeningFactory(Factory):
    """Makes an `Opening` of every connection."""

    noisy = False

    def __init__(self, http: Any, websocket: Any, loop: AbstractEventLoop) -> None:
        """`http`, `websocket`: daphne's factories."""
        self.loop = loop
        http.protocol = HttpChannel
        self._http = http
        self._websocket = websocket

    def buildProtocol(self, addr: Any) -> Opening:  # noqa: N802 - Twisted's name
        """See Twisted's `Factory`."""
        return Opening(self, addr)

    def protocol_for(self, data: bytes, address: Any) -> Any:
        """Who reads on, given what came first."""
        query = handshake_query(data)
        if query is None:
            channel = self._http.buildProtocol(address)
            # Twisted would read forms for itself, a quarter of a second for 1 MB.
            channel.requestFactory = partial(Request, parsePOSTFormSubmission=False)
            return channel
        protocol = self._websocket.buildProtocol(address)
        # daphne's HTTP request hands it over like this.
        protocol._raw_query_string = query
        return protocol
