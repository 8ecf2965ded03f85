"""What Beam relies on in Twisted."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel, HTTPFactory

from tests.upstream.relied_on import relies_on


class Reactor:
    """Does nothing: the test says when the descriptor may write."""

    def addWriter(self, writer: Any) -> None:  # noqa: N802 - Twisted's name
        """See Twisted's reactors."""

    removeWriter = removeReader = addWriter  # noqa: N815 - Twisted's names


class Descriptor(FileDescriptor):
    """A connection to a client that takes two bytes at a time."""

    def __init__(self) -> None:
        reactor: Any = Reactor()
        super().__init__(reactor)
        self.connected = 1
        self.sent = b""

    def writeSomeData(self, data: bytes) -> int:  # noqa: N802 - Twisted's name
        """See Twisted's `FileDescriptor`."""
        self.sent += bytes(data[:2])
        return min(2, len(data))

    @property
    def queued(self) -> int:
        """What waits, as Beam counts it."""
        return len(self.dataBuffer) - self.offset + self._tempDataLen


@relies_on(
    "twisted",
    *("dataBuffer", "offset", "_tempDataLen", "writeSomeData"),
    to="limit what waits for a client that reads slowly",
)
def test_bytes_that_wait_for_a_client_can_be_counted() -> None:
    descriptor = Descriptor()

    descriptor.write(b"12345")
    counts = [descriptor.queued]
    descriptor.doWrite()
    descriptor.write(b"678")
    counts.append(descriptor.queued)
    for _ in range(3):
        descriptor.doWrite()
        counts.append(descriptor.queued)

    assert counts == [5, 6, 4, 2, 0]
    assert descriptor.sent == b"12345678"


@relies_on(
    "twisted",
    *("dataBuffer", "offset", "_tempDataBuffer", "_tempDataLen"),
    to="free what waits for a client as soon as its connection is lost",
)
def test_bytes_that_wait_for_a_client_can_be_dropped() -> None:
    descriptor = Descriptor()
    descriptor.write(b"1234")
    descriptor.doWrite()
    descriptor.write(b"567")

    descriptor.dataBuffer, descriptor.offset = b"", 0
    descriptor._tempDataBuffer, descriptor._tempDataLen = [], 0
    descriptor.doWrite()
    descriptor.write(b"89")
    descriptor.doWrite()

    assert descriptor.sent == b"1289"


class Channel(HTTPChannel):
    """Records what Beam overrides."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802 - Twisted's name
        self.calls.append(f"header {line.decode()}")
        return bool(super().headerReceived(line))

    def allHeadersReceived(self) -> None:  # noqa: N802 - Twisted's name
        self.calls.append(f"all headers, length {self.length}")
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.calls.append(f"body {data.decode()}")

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802 - Twisted's name
        self.calls.append("bad request")
        super()._respondToBadRequestAndDisconnect()


def calls(data: bytes) -> list[str]:
    """What is called for a request."""
    reactor: Any = Clock()
    factory: Any = HTTPFactory(reactor=reactor)
    factory.protocol = Channel
    channel = factory.buildProtocol(None)
    channel.makeConnection(StringTransport())
    channel.dataReceived(data)
    channel.setTimeout(None)
    return list(channel.calls)


@relies_on(
    "twisted",
    *("headerReceived", "allHeadersReceived", "rawDataReceived", "length"),
    to="refuse bodies that are too large before they are read",
)
def test_a_request_is_received_header_by_header_and_then_its_body() -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nbody"

    assert calls(request) == [
        "header Host: a",
        "header Content-Length: 5",
        "all headers, length 5",
        "body body",
    ]


@relies_on(
    "twisted", "_respondToBadRequestAndDisconnect", to="count requests it cannot read"
)
def test_a_request_that_cannot_be_read_is_refused_by_one_method() -> None:
    assert calls(b"nonsense\r\n\r\n") == ["bad request"]
    assert calls(b"GET / HTTP/1.1\r\nbad\r\n\r\n")[-1] == "bad request"
