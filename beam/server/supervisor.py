"""Owns the processes of `beam_serve --processes N`: N servers behind one socket.

The supervisor binds the socket and never reads from it. Each server process
inherits the socket, and one end of a control pipe: it reports there that it
listens, and sees there when the supervisor ends. A process that dies is started
again. SIGTERM and SIGINT drain all processes, SIGHUP replaces them one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
from tempfile import TemporaryDirectory
from typing import Any

from beam.config.environment import url_of
from beam.redis import startup_check
from beam.server.listening import cannot_listen, listen
from beam.server.server_process import ServerProcess

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.2
LONGEST_DELAY = 30.0


class Supervisor:
    """N server processes behind one listening socket.

    `_slots` holds the process of each slot, and changes only under the slot's
    lock. `_running` also holds processes that drain, and replacements that start.
    """

    def __init__(self, count: int, listening: socket.socket, folder: str) -> None:
        """`folder`: where processes write their statistics for the others."""
        self._count = count
        self._folder = folder
        self._socket = listening
        self._slots: dict[int, ServerProcess] = {}
        self._running: set[ServerProcess] = set()
        self._locks = [asyncio.Lock() for _ in range(count)]
        self._serving = asyncio.Event()
        self._stopping = asyncio.Event()
        self._replacing: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code.

        1 if none of the first processes could start: the next would fail as well.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._replace)
        stopping = loop.create_task(self._stopping.wait())
        starting = loop.create_task(self._start_all())
        watching = [loop.create_task(self._watch(slot)) for slot in range(self._count)]
        await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
        serves = self._stopping.is_set() or starting.result()
        if serves:
            await stopping
            logger.info("Stopping %d processes", len(self._running))
        await self._cancel(stopping, starting, *watching, self._replacing)
        await self._end_all()
        return 0 if serves else 1

    @staticmethod
    async def _cancel(*tasks: asyncio.Task[Any] | None) -> None:
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _start_all(self) -> bool:
        """Start a process in each slot; whether any of them listens."""
        if not any(await asyncio.gather(*map(self._start_first, range(self._count)))):
            logger.critical("No server process could start; see above")
            return False
        missing = [str(w.slot + 1) for w in self._slots.values() if not w.listens]
        if missing:
            counts = self._count - len(missing), self._count
            text = "%d of %d processes listen; not yet: %s"
            logger.warning(text, *counts, ", ".join(missing))
        else:
            logger.info("All %d processes listen", self._count)
        return True

    async def _start_first(self, slot: int) -> bool:
        """Start the first process of a slot. Logs when the first of all listens."""
        async with self._locks[slot]:
            listens = await self._start(slot)
        if listens and not self._serving.is_set():
            self._serving.set()
            logger.info("Listening on %s", url_of(*self._socket.getsockname()[:2]))
        return listens

    async def _start(self, slot: int) -> bool:
        """Start a process in a slot, whose lock is held; whether it listens."""
        self._slots[slot] = await self._spawn(slot)
        return await self._slots[slot].is_ready()

    async def _spawn(self, slot: int) -> ServerProcess:
        """Start a process. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        shared = (self._socket.fileno(), theirs.fileno())
        command = [sys.argv[0], "beam_serve", "--inherit", f"{shared[0]},{shared[1]}"]
        command += ["--number", str(slot + 1), "--of", str(self._count)]
        command += ["--shared", self._folder]
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, *command, pass_fds=shared, env=os.environ
                )
            except BaseException:
                ours.close()
                raise
        server = ServerProcess(slot, process, ours)
        self._running.add(server)
        return server

    def _forget(self, server: ServerProcess) -> None:
        """Free what belongs to a process that has ended. Idempotent."""
        server.control.close()
        self._running.discard(server)

    async def _watch(self, slot: int) -> None:
        """Start another process in a slot each time its process dies."""
        await self._serving.wait()
        delay = FIRST_DELAY
        while True:
            async with self._locks[slot]:
                server = self._slots[slot]
            code = await server.process.wait()
            self._forget(server)
            if self._slots[slot] is not server:
                # It was replaced.
                continue
            if server.was_steady:
                delay = FIRST_DELAY
            logger.error("%s %s; restart in %.1f s", server, _ended(code), delay)
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311
            delay = min(delay * 2, LONGEST_DELAY)
            await self._restart(server)

    async def _restart(self, dead: ServerProcess) -> None:
        """Start another process in its slot, unless a replacement took the slot."""
        slot = dead.slot
        async with self._locks[slot]:
            if self._slots[slot] is not dead:
                return
            try:
                listens = await self._start(slot)
            except OSError as error:
                logger.error("Process %d cannot be started: %s", slot + 1, error)
                return
        if listens:
            pid = self._slots[slot].process.pid
            logger.info("Process %d was restarted (pid %d)", slot + 1, pid)

    def _replace(self) -> None:
        if self._replacing is None or self._replacing.done():
            loop = asyncio.get_running_loop()
            self._replacing = loop.create_task(self._replace_all())

    async def _replace_all(self) -> None:
        """Replace all processes: each new one listens before its old one drains."""
        for slot in range(self._count):
            if not await self._replace_one(slot):
                return

    async def _replace_one(self, slot: int) -> bool:
        """Replace the process of a slot. False: the new one failed, the old is kept."""
        async with self._locks[slot]:
            old, new = self._slots[slot], await self._spawn(slot)
            if listens := await new.is_ready():
                self._slots[slot] = new
        if not listens:
            text = "The new process %d does not start: the old one is kept"
            logger.error(text, slot + 1)
            await self._end(new)
            return False
        await self._end(old)
        pid = new.process.pid
        logger.info("Process %d was replaced (pid %d)", slot + 1, pid)
        return True

    async def _end(self, server: ServerProcess) -> None:
        await server.end()
        self._forget(server)

    async def _end_all(self) -> None:
        await asyncio.gather(*map(self._end, list(self._running)))


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with {code}"


def supervise(count: int, host: str, port: int) -> int:
    """Serve with `count` processes until SIGTERM or SIGINT; the exit code."""
    host = host.strip("[]")
    try:
        listening = listen(host, port)
    except OSError as error:
        logger.critical("%s", cannot_listen(host, port, error))
        return 1
    try:
        shared = TemporaryDirectory(prefix="beam-")
    except OSError as error:
        listening.close()
        text = "No temporary directory: %s. Set TMPDIR to one that is writable"
        logger.critical(text, error)
        return 1
    startup_check.announce()
    with listening, shared as folder:
        return asyncio.run(Supervisor(count, listening, folder).run())
