"""What Beam relies on in daphne: its server and WebSocket protocol are subclasses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.testing import StringTransport

from tests.upstream.relied_on import relies_on


@pytest.fixture
def server() -> Any:
    """A server that records what it is asked to serve, and does not listen."""
    server: Any = Server(None, ["tcp:0"])
    server.connections = {}
    server.scopes = []
    return server


def connect(server: Any, inbox: Any) -> Any:
    """A WebSocket whose request has come."""

    def create_application(protocol: Any, scope: Any) -> Any:
        server.scopes.append(scope)
        return inbox

    server.create_application = create_application
    protocol: Any = WebSocketProtocol()
    protocol.factory = SimpleNamespace(server_class=server)
    protocol.transport = StringTransport()
    protocol._raw_query_string = b"vsn=2.0.0"
    protocol.onConnect(SimpleNamespace(headers={"host": "a"}, path="/socket"))
    return protocol


class Inbox:
    """All that daphne knows of what `create_application` returns."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def put_nowait(self, message: Any) -> None:
        """Add a message."""
        self.messages.append(message)


@relies_on(
    "daphne", "_raw_query_string", to="begin a WebSocket without a parse by Twisted"
)
def test_a_websocket_gets_its_query_string_as_an_attribute(server: Any) -> None:
    connect(server, Inbox())

    [scope] = server.scopes
    assert scope["query_string"] == b"vsn=2.0.0"


@relies_on(
    "daphne",
    *("create_application", "application_queue", "application_deferred"),
    to="replace the queue of each application by a smaller one",
)
def test_a_websocket_puts_its_messages_where_the_server_says(server: Any) -> None:
    inbox = Inbox()

    protocol = connect(server, inbox)
    protocol.onMessage(b"text", isBinary=False)

    assert protocol.application_queue is inbox
    assert protocol.application_deferred is not None
    assert inbox.messages == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "text"},
    ]


@relies_on(
    "daphne",
    "connections",
    to="wait for the end of all connections when it stops",
)
def test_the_server_knows_which_connections_have_ended(server: Any) -> None:
    protocol = connect(server, Inbox())
    known = dict(server.connections[protocol])

    server.protocol_disconnected(protocol)

    assert known.keys() == {"connected"}
    assert server.connections[protocol].keys() == {"connected", "disconnected"}


@relies_on(
    "daphne",
    *("handle_reply", "serverReject"),
    to="refuse an opening handshake with a status",
)
async def test_what_an_application_sends_reaches_the_protocol(server: Any) -> None:
    protocol = connect(server, Inbox())
    refused: list[Any] = []
    protocol.handshake_deferred.addErrback(refused.append)
    protocol.state = protocol.STATE_CONNECTING

    await server.handle_reply(protocol, {"type": "websocket.close"})

    assert [failure.value.code for failure in refused] == [403]
    assert not hasattr(protocol, "handshake_deferred")
