"""Owns the processes of `beam_serve --processes N`: one socket, N servers.

The supervisor binds the socket and never reads from it. Each server process
inherits it, and one end of a control pipe: the server says there that it
listens, and sees there that the supervisor is gone. A process that dies is
started again; SIGTERM and SIGINT drain all; SIGHUP replaces them one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from beam.conf import conf

logger = logging.getLogger(__name__)

READY = b"listening"
# Connections that may wait to be accepted; the system may have a lower limit.
BACKLOG = 4_096
FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0
# A process that lived this long starts its back-off anew.
STEADY_SECONDS = 30.0
START_SECONDS = 60.0
# What a process may take to end beyond `drain_seconds`.
STOP_MARGIN = 10.0


@dataclass(slots=True)
class Worker:
    """A server process that was started."""

    process: asyncio.subprocess.Process
    control: socket.socket
    started: float

    async def is_ready(self) -> bool:
        """Wait until it listens; False where it ended before."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(START_SECONDS):
                return await loop.sock_recv(self.control, 64) == READY
        except (TimeoutError, OSError):
            return False

    def send(self, number: int) -> None:
        """Pass a signal on; a process that is gone is no error."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """Drain it; kill it where it does not end within its limit."""
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(conf().drain_seconds + STOP_MARGIN):
                await self.process.wait()
        except TimeoutError:
            logger.error("Process %d did not drain: killed", self.process.pid)
            self.send(signal.SIGKILL)
            await self.process.wait()


class Supervisor:
    """N server processes behind one listening socket."""

    def __init__(self, count: int, listening: socket.socket, folder: str) -> None:
        """`folder`: where processes write what the others are to see."""
        self._count = count
        self._folder = folder
        self._socket = listening
        self._workers: dict[int, Worker] = {}
        self._stopping = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None
        self._replaced: set[int] = set()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code.

        1 where no process could start at all: the same fault would meet each.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._replace)
        first = await asyncio.gather(*map(self._start, range(self._count)))
        if not self._stopping.is_set() and not any(first):
            logger.critical("No server process could start; see above")
            await self._end_all()
            return 1
        if not self._stopping.is_set():
            self._tell()
        keepers = [loop.create_task(self._keep(slot)) for slot in range(self._count)]
        await self._stopping.wait()
        if self._replacing is not None:
            self._replacing.cancel()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await self._end_all()
        return 0

    def _tell(self) -> None:
        host, port = self._socket.getsockname()[:2]
        logger.info("Listening on http://%s:%d, %d processes", host, port, self._count)

    async def _start(self, slot: int) -> bool:
        """Start the process of a slot; whether it listens."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        shared = (self._socket.fileno(), theirs.fileno())
        command = [sys.argv[0], "beam_serve", "--inherit", f"{shared[0]},{shared[1]}"]
        command += ["--sibling", str(slot + 1), "--siblings", self._folder]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, pass_fds=shared, env=os.environ
        )
        theirs.close()
        worker = Worker(process, ours, time.monotonic())
        self._workers[slot] = worker
        return await worker.is_ready()

    async def _keep(self, slot: int) -> None:
        """Start the process of a slot again, whenever it dies."""
        delay = FIRST_DELAY
        while True:
            worker = self._workers[slot]
            code = await worker.process.wait()
            if slot in self._replaced:
                self._replaced.discard(slot)
                continue
            worker.control.close()
            if time.monotonic() - worker.started > STEADY_SECONDS:
                delay = FIRST_DELAY
            logger.error(
                "Process %d (pid %d) %s; another in %.1f s",
                slot + 1,
                worker.process.pid,
                _ended(code),
                delay,
            )
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311
            delay = min(delay * 2, LONGEST_DELAY)
            if await self._start(slot):
                pid = self._workers[slot].process.pid
                logger.info("Process %d is back (pid %d)", slot + 1, pid)

    def _replace(self) -> None:
        if self._replacing is None or self._replacing.done():
            loop = asyncio.get_running_loop()
            self._replacing = loop.create_task(self._replace_all())

    async def _replace_all(self) -> None:
        """A rolling restart: a new process listens before an old one drains."""
        for slot in range(self._count):
            old = self._workers[slot]
            self._replaced.add(slot)
            if not await self._start(slot):
                logger.error("The new process %d does not start: kept", slot + 1)
                failed, self._workers[slot] = self._workers[slot], old
                self._replaced.discard(slot)
                await failed.end()
                return
            await old.end()
            old.control.close()
            pid = self._workers[slot].process.pid
            logger.info("Process %d was replaced (pid %d)", slot + 1, pid)

    async def _end_all(self) -> None:
        workers = list(self._workers.values())
        logger.info("Stopping %d processes", len(workers))
        await asyncio.gather(*(worker.end() for worker in workers))


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


def listen(host: str, port: int) -> socket.socket:
    """The socket that all processes share. Raises `OSError`."""
    listening = socket.create_server((host, port), backlog=BACKLOG)
    listening.setblocking(False)
    return listening


def supervise(count: int, host: str, port: int) -> int:
    """Serve with `count` processes until told to stop; the exit code."""
    try:
        listening = listen(host, port)
    except OSError as error:
        logger.critical("Cannot listen on %s:%d: %s", host, port, error)
        return 1

    with listening, TemporaryDirectory(prefix="beam-") as folder:
        return asyncio.run(Supervisor(count, listening, folder).run())
