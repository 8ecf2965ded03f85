"""`python -m tests.broken PORT`: a server that fails at requests that name an error."""

from typing import Any

from tests.serve import main


def fail(self: Any, line: bytes) -> bool:
    """In place of Twisted's method."""
    if line.startswith(b"x-fail"):
        raise KeyError(line)
    return header_received(self, line)


if __name__ == "__main__":
    from beam.server.http import HttpChannel

    header_received = HttpChannel.headerReceived
    HttpChannel.headerReceived = fail  # type: ignore[method-assign]
    main()
