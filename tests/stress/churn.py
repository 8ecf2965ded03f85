"""`python -m tests.stress.churn --joins 100000`: many joins and leaves in a short time.

Clients connect, join, send, update their presence, leave, and connect again. The memory
of the server may reach a plateau, and must stay there.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.processes import Server, redis_server, serve
from tests.stress.run import token

CLIENTS = 40
ROOMS = 400
JOINS_A_CONNECTION = 50
SAMPLES = 40
ALLOWED = 1.10


@dataclass
class Report:
    """The memory of the server in bytes, sampled during the joins."""

    samples: list[int] = field(default_factory=list)
    joins: int = 0
    connections: int = 0
    seconds: float = 0.0

    @property
    def plateau(self) -> float:
        """The memory in the second quarter of the run."""
        count = len(self.samples)
        return statistics.median(self.samples[count // 4 : count // 2])

    @property
    def last(self) -> float:
        """The memory in the last tenth of the run."""
        return statistics.median(self.samples[-max(1, len(self.samples) // 10) :])

    @property
    def good(self) -> bool:
        """Whether the memory stayed on its plateau."""
        return self.last <= self.plateau * ALLOWED


class Churn:
    """One run against one server."""

    def __init__(self, server: Server, joins: int, say: Callable[[str], None]) -> None:
        self._server = server
        self._joins = joins
        self._say = say
        self._numbers = itertools.count()
        self._random = random.Random(1)
        self.report = Report()

    async def go(self) -> Report:
        """Make all joins, by `CLIENTS` clients at a time."""
        started = time.monotonic()
        await asyncio.gather(*(self._client() for _ in range(CLIENTS)))
        self.report.seconds = time.monotonic() - started
        return self.report

    async def _client(self) -> None:
        while self.report.joins < self._joins:
            number = next(self._numbers)
            url = f"{self._server.socket_url}/websocket?vsn=2.0.0&user_token="
            async with connect(
                url + quote(token(f"u{number % 1_000}", None)),
                compression=None,
                max_queue=None,
                ping_interval=None,
                proxy=None,
            ) as socket:
                self.report.connections += 1
                for ref in range(JOINS_A_CONNECTION):
                    await self._visit(socket, str(ref), f"s{number}")
                    self._count()
                socket.transport.abort()

    async def _visit(self, socket: ClientConnection, ref: str, session: str) -> None:
        """Join, send a message, update the meta, leave: each is answered with ok."""
        room = f"churn {self._random.randrange(ROOMS)}"
        topic = f"room:{room}"
        payload = {"room_token": token("", room), "session_id": session}
        for event, body in (
            ("phx_join", payload),
            ("new_msg", {"broadcast": True, "text": "x" * self._random.randrange(500)}),
            ("presence_update", {"meta": {"n": self._random.randrange(1_000)}}),
            ("phx_leave", {}),
        ):
            await socket.send(json.dumps([ref, f"{ref}{event}", topic, event, body]))
        for _ in range(4):
            text = await _reply(socket)
            assert '"status":"ok"' in text, text

    def _count(self) -> None:
        self.report.joins += 1
        if self.report.joins % max(1, self._joins // SAMPLES) == 0:
            assert self._server.process is not None
            memory = psutil.Process(self._server.process.pid).memory_info().rss
            self.report.samples.append(memory)
            self._say(f"{self.report.joins:>8,} joins  {memory / 2**20:6.1f} MiB")


async def _reply(socket: ClientConnection) -> str:
    """The text of the next reply. Other messages are dropped."""
    while True:
        text = await socket.recv()
        assert isinstance(text, str)
        if '"phx_reply"' in text:
            return text


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run with Redis and print the report. Returns 1 if the memory grew."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.churn")
    parser.add_argument("--joins", type=int, default=100_000, help="how many joins")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="beam-churn-") as folder,
        redis_server() as redis,
        serve(Path(folder), REDIS_URL=redis.url) as server,
    ):
        report = asyncio.run(Churn(server, options.joins, say).go())
    say(
        f"{report.joins:,} joins and leaves over {report.connections:,} connections in"
        f" {report.seconds:.0f} s; plateau {report.plateau / 2**20:.1f} MiB, at the end"
        f" {report.last / 2**20:.1f} MiB ({report.last / report.plateau:.2f} times)"
    )
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
