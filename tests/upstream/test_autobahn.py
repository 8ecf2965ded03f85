"""What Beam relies on in autobahn: its WebSocket protocol is a subclass."""

from __future__ import annotations

from typing import Any

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket import protocol as autobahn_protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport

from tests.upstream.relied_on import relies_on

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Origin: http://[\r\n\r\n"
)
PING = b"\x89\x80\x00\x00\x00\x00"
# The first fragment of a message, and the last.
FIRST = b"\x01\x81\x00\x00\x00\x00a"
LAST = b"\x80\x81\x00\x00\x00\x00b"


def connected(**attributes: Any) -> Any:
    """A protocol whose class has these attributes, on a new connection."""
    factory = WebSocketServerFactory(reactor=MemoryReactorClock())
    factory.setProtocolOptions(
        allowNullOrigin=True, openHandshakeTimeout=0, closeHandshakeTimeout=2
    )
    protocol = type("Protocol", (WebSocketServerProtocol,), attributes)()
    protocol.factory = factory
    protocol.makeConnection(StringTransport())
    return protocol


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A protocol after its opening handshake."""
    monkeypatch.setattr(autobahn_protocol, "_url_to_origin", lambda _: "null")
    protocol = connected()
    protocol.dataReceived(HANDSHAKE)
    return protocol


@relies_on(
    "autobahn", "_url_to_origin", to="judge origins itself, those of all schemes"
)
def test_the_function_that_reads_origins_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    origins: list[str] = []

    def read(url: str) -> str:
        origins.append(url)
        return "null"

    monkeypatch.setattr(autobahn_protocol, "_url_to_origin", read)
    protocol = connected()

    protocol.dataReceived(HANDSHAKE)

    assert origins == ["http://["]
    assert protocol.transport.value().startswith(b"HTTP/1.1 101")


@relies_on(
    "autobahn",
    "CONFIG_ATTRS",
    to="keep options in the class and not in each connection",
)
def test_the_options_of_a_connection_can_be_attributes_of_its_class() -> None:
    stock = connected()
    options = {name: getattr(stock.factory, name) for name in stock.CONFIG_ATTRS}

    protocol = connected(**options, CONFIG_ATTRS=())

    assert options.keys() <= vars(stock).keys()
    assert not options.keys() & vars(protocol).keys()


@relies_on(
    "autobahn",
    *("inside_message", "current_frame"),
    to="read whole messages itself and leave parts of messages to autobahn",
)
def test_a_connection_knows_whether_it_is_inside_a_message(opened: Any) -> None:
    def is_inside() -> bool:
        return bool(
            opened.data or opened.inside_message or opened.current_frame is not None
        )

    states = [is_inside()]
    for data in (FIRST, LAST, PING[:3], PING[3:]):
        opened.dataReceived(data)
        states.append(is_inside())

    assert states == [False, True, False, True, False]


@relies_on(
    "autobahn",
    *("sendCloseFrame", "closeHandshakeTimeoutCall", "localCloseCode", "closedByMe"),
    to="close with its own codes, and to give slow clients longer to answer",
)
def test_a_close_frame_has_any_code_and_its_timeout_can_be_cancelled(
    opened: Any,
) -> None:
    opened.transport.clear()

    opened.sendCloseFrame(code=1013)
    opened.closeHandshakeTimeoutCall.cancel()
    opened.closeHandshakeTimeoutCall = None
    opened.factory.reactor.advance(10)

    assert opened.transport.value() == b"\x88\x02\x03\xf5"
    assert (opened.closedByMe, opened.localCloseCode) == (True, 1013)
    assert not opened.transport.disconnecting


@relies_on("autobahn", "sendData", to="write what autobahn sends behind its own frames")
def test_everything_that_autobahn_writes_goes_through_one_method(opened: Any) -> None:
    written: list[bytes] = []
    opened.sendData = lambda data, *_, **__: written.append(data)
    opened.transport.clear()

    opened.dataReceived(PING)
    opened.sendCloseFrame(code=1000)

    assert written == [b"\x8a\x00", b"\x88\x02\x03\xe8"]
    assert opened.transport.value() == b""
