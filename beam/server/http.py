"""Decides by its first bytes whether a connection is a WebSocket or HTTP.

daphne parses every request with Twisted, writes it again and has autobahn parse
that. An ordinary opening handshake needs only the second parse, which checks all
that RFC 6455 section 4.2.1 requires. Any unusual request (split, long, with a body,
with odd characters) takes daphne's path.

daphne also reads a body of any size before it calls the application. Here a body is
refused as soon as it is too large.
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

# Twisted's HTTP refuses a longer one.
MAX_HEAD: Final = 16_384

SILENT_SECONDS: Final = 60.0
"""How long a client may send nothing at first, as in Twisted's HTTP."""

LINGER_SECONDS: Final = 2.0
"""How long a client whose body is too large has to read the answer."""

LINGER_BYTES: Final = 1_048_576
"""How much of the rest of its body is read and dropped; more is not read."""


def handshake_query(data: bytes) -> bytes | None:
    """The query string of an ordinary, whole opening handshake; None: it is not one.

    Whether the handshake is accepted is decided elsewhere.
    """
    if len(data) > MAX_HEAD or not _UPGRADE.search(data) or _BODY.search(data):
        return None
    head = _HEAD.fullmatch(data)
    return head and (head["query"] or b"")


class Opening(Protocol):
    """A connection on which nothing was received yet."""

    def __init__(self, factory: OpeningFactory, address: Any) -> None:
        self._factory = factory
        self._address = address
        self._timer: TimerHandle | None = None

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Wait for the client, for `SILENT_SECONDS`."""
        transport: Any = self.transport
        self._timer = self._factory.loop.call_later(
            SILENT_SECONDS, transport.abortConnection
        )

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Choose the protocol by the first bytes, and hand them over."""
        self._cancel_timer()
        protocol = self._factory.protocol_for(data, self._address)
        transport: Any = self.transport
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        """The client disconnected and had sent nothing."""
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Request(WebRequest):  # type: ignore[misc]
    """daphne's request, with a body of bounded size."""

    _size = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a part of the body. Raises `TooLarge` above the limit."""
        self._size += len(data)
        if self._size > limit():
            raise TooLarge
        super().handleContentChunk(data)

    def __repr__(self) -> str:
        """For daphne's log. Without the query, which may hold a token."""
        path = self.uri.partition(b"?")[0]
        return f"<Request {_text(self.method)} {_text(path)}>"


class HttpChannel(HTTPChannel):
    """Twisted's HTTP, which refuses a body that is too large as it arrives."""

    _refused = False
    _spare = LINGER_BYTES
    _lingering: Any = None

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        """See Twisted's `HTTPChannel`, which raises for a length of 5,000 digits."""
        try:
            is_good: bool = super().headerReceived(line)  # type: ignore[no-untyped-call]
        except ValueError:
            self._refuse()
            return False
        return is_good

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        """Read the body, unless its length is above the limit.

        Above it, `Expect: 100-continue` is not answered with 100.
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
        """Answer at once, and neither send nor handle anything else.

        If the connection were closed while bytes arrive, the client's system would
        discard the answer. So only this side is closed first, and the connection
        after `LINGER_SECONDS`.
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
        """Read on for a client that has little left to send; then stop reading."""
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
    """Makes an `Opening` for each connection."""

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
        """The protocol of a connection with these first bytes."""
        query = handshake_query(data)
        if query is None:
            channel = self._http.buildProtocol(address)
            # Else Twisted parses forms too: 1 MB takes a quarter of a second.
            channel.requestFactory = partial(Request, parsePOSTFormSubmission=False)
            return channel
        protocol = self._websocket.buildProtocol(address)
        # As daphne's HTTP request does it.
        protocol._raw_query_string = query
        return protocol
