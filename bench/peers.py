"""The servers that are measured: how each is started, stopped and observed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.dialects import Phoenix, Plain, SocketIo
from bench.load import MakeDialect

HERE = Path(__file__).resolve().parent
START_SECONDS = 15.0
# CPU seconds in 0.4 s: a tick of the clock or two.
SETTLED = 0.03
PYTHON = sys.executable
# One sender per room sends as fast as answers come; rates are still counted.
UNLIMITED = {"BEAM_INBOUND_RATE": "1000000", "BEAM_INBOUND_BURST": "1000000"}
# Members send nothing while thousands of others join.
NO_IDLE_LIMIT = {"BEAM_IDLE_TIMEOUT": "600"}
PLAIN = "bench.baselines.plain_channels:application"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its command, its requirements, and its protocol."""

    name: str
    command: tuple[str, ...]
    dialect: MakeDialect
    redis: bool = False


PEERS = {
    peer.name: peer
    for peer in (
        Peer("beam", (PYTHON, "manage.py", "beam_serve", "--port", "{port}"), Phoenix),
        Peer(
            "beam over redis",
            (PYTHON, "manage.py", "beam_serve", "--port", "{port}"),
            Phoenix,
            redis=True,
        ),
        Peer(
            "beam, two processes",
            (
                *(PYTHON, "manage.py", "beam_serve"),
                *("--port", "{port}", "--processes", "2"),
            ),
            Phoenix,
            redis=True,
        ),
        Peer(
            "plain channels",
            # With its own backlog of 50, connections of a storm are seconds late.
            (
                *(PYTHON, "-m", "daphne", "-e"),
                *("tcp:port={port}:interface=127.0.0.1:backlog=4096", PLAIN),
            ),
            Plain,
            redis=True,
        ),
        Peer("ws", ("node", str(HERE / "baselines/ws.mjs"), "{port}"), Plain),
        Peer(
            "socket.io",
            ("node", str(HERE / "baselines/socketio.mjs"), "{port}"),
            SocketIo,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU and memory that a server has used."""

    cpu_seconds: float
    rss_bytes: int


class Running:
    """A started server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.base = f"ws://127.0.0.1:{port}"
        self._process = psutil.Process(process.pid)

    def settle(self) -> None:
        """Wait until it has started: its processes use no CPU any more."""
        deadline = time.monotonic() + START_SECONDS
        before, now = -1.0, self.usage().cpu_seconds
        while now - before > SETTLED and time.monotonic() < deadline:
            time.sleep(0.4)
            before, now = now, self.usage().cpu_seconds

    def usage(self) -> Usage:
        """CPU and memory of the server and its children, Redis not counted."""
        family = [self._process, *self._process.children(recursive=True)]
        cpu = sum(sum(member.cpu_times()[:2]) for member in family)
        return Usage(cpu, sum(member.memory_info().rss for member in family))

    def sockets(self) -> int:
        """How many connections the server has open."""
        family = [self._process, *self._process.children(recursive=True)]
        found = (c for member in family for c in member.net_connections("tcp"))
        return sum(connection.status == "ESTABLISHED" for connection in found)


def free_port() -> int:
    """A free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen")


@contextmanager
def _process(
    name: str, command: list[str], port: int, env: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command,
        cwd=HERE.parent,
        env=os.environ | env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process, name)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def redis_server(executable: str) -> Iterator[str]:
    """A redis-server for this run; its URL."""
    port = free_port()
    command = [executable, "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no"]
    with _process("redis-server", command, port, {}):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def serve(peer: Peer, redis_url: str, *, limited: bool = False) -> Iterator[Running]:
    """A peer, started and ready. `limited`: with its rate limits."""
    port = free_port()
    env = NO_IDLE_LIMIT | {"DEBUG": "1", "REDIS_URL": redis_url if peer.redis else ""}
    env |= {} if limited else UNLIMITED
    command = [part.format(port=port) for part in peer.command]
    with _process(peer.name, command, port, env) as process:
        server = Running(process, port)
        server.settle()
        yield server
