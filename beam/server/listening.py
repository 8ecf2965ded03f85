"""The listening socket, and what is wrong when an address cannot be listened on."""

from __future__ import annotations

import errno
import socket
from typing import Final

from beam.config.environment import url_of

# Connections that may wait to be accepted; the system may have a lower limit.
BACKLOG = 4_096
REMEDIES: Final = {
    errno.EADDRINUSE: "the port is in use. Stop the process that uses it, or set PORT "
    "(or --port) to another",
    errno.EADDRNOTAVAIL: "this machine has no such address. Set HOST (or --host) to "
    "one that it has, such as 127.0.0.1; 0.0.0.0 is all of them",
    errno.EACCES: "not permitted. Set PORT (or --port) to 1024 or above",
}


def cannot_listen(host: str, port: int, error: BaseException) -> str:
    """The log line for an address that cannot be listened on, with the remedy."""
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror):
        reason = f"the name {host} has no address. Correct HOST (or --host)"
    elif number in REMEDIES:
        reason = REMEDIES[number]
    else:
        reason = f"{error}. Correct HOST and PORT (or --host and --port)"
    return f"Cannot listen on {url_of(host, port)}: {reason}"


def listen(host: str, port: int) -> socket.socket:
    """The socket that all processes share. Raises `OSError`.

    On an IPv6 address it accepts IPv4 clients too, as a single process does.
    """
    six = ":" in host
    listening = socket.create_server(
        (host, port),
        family=socket.AF_INET6 if six else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=six and socket.has_dualstack_ipv6(),
    )
    listening.setblocking(False)
    return listening
