"""A server process of the supervisor, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from beam.config.conf import conf

logger = logging.getLogger(__name__)

READY = b"listening"
# A process that listened this long is restarted after `FIRST_DELAY` again.
STEADY_SECONDS = 30.0
START_SECONDS = 60.0
# Seconds beyond `drain_seconds` that a process may take to end.
STOP_MARGIN = 10.0


@dataclass(slots=True, eq=False)
class ServerProcess:
    """A server process that runs in a slot. `since`: when it began to listen."""

    slot: int
    process: asyncio.subprocess.Process
    control: socket.socket
    since: float | None = None

    def __str__(self) -> str:
        return f"Process {self.slot + 1} (pid {self.process.pid})"

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    @property
    def listens(self) -> bool:
        """Whether it accepts connections."""
        return self.runs and self.since is not None

    @property
    def was_steady(self) -> bool:
        """Whether it listened for `STEADY_SECONDS`: it did not crash at its start."""
        return self.since is not None and time.monotonic() - self.since > STEADY_SECONDS

    async def is_ready(self) -> bool:
        """Wait until it listens. False: it ended before, or took too long."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(START_SECONDS):
                received = await loop.sock_recv(self.control, 64)
        except TimeoutError:
            logger.error("%s did not listen within %g s: killed", self, START_SECONDS)
            self.send(signal.SIGKILL)
            return False
        except OSError:
            return False
        if received == READY:
            self.since = time.monotonic()
        return received == READY

    def send(self, number: int) -> None:
        """Send a signal; a process that has ended is no error."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """Drain it; kill it if it does not end in time."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(conf().drain_seconds + STOP_MARGIN):
                await self.process.wait()
        except TimeoutError:
            logger.error("%s did not drain in time: killed", self)
            self.send(signal.SIGKILL)
            await self.process.wait()
