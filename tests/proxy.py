"""A TCP proxy for tests: freezes single connections, in either direction."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

CHUNK = 65_536


class Line:
    """One connection through the proxy.

    `sent`: in upper case the first bytes that its client has sent; they identify it.
    """

    def __init__(self) -> None:
        self.sent = b""
        self.writers: list[asyncio.StreamWriter] = []
        self.is_open = True
        self._down, self._up = asyncio.Event(), asyncio.Event()
        self.thaw()

    def freeze(self, *, down: bool = True, up: bool = True) -> None:
        """Stop forwarding. `down`: to the client, `up`: to the server."""
        if down:
            self._down.clear()
        if up:
            self._up.clear()

    def thaw(self) -> None:
        """Forward again, beginning with the data that waited."""
        self._down.set()
        self._up.set()

    async def carry(
        self, client: asyncio.StreamReader, server: asyncio.StreamReader
    ) -> None:
        """Forward both ways until either end closes. `writers`: client, server."""
        ways = (
            asyncio.create_task(self._pump(client, self.writers[1], self._up)),
            asyncio.create_task(self._pump(server, self.writers[0], self._down)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        gate: asyncio.Event,
    ) -> None:
        while data := await source.read(CHUNK):
            if gate is self._up and len(self.sent) < CHUNK:
                self.sent += data.upper()
            await gate.wait()
            target.write(data)
            await target.drain()

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        for writer in self.writers:
            writer.close()


class Proxy:
    """Listens on the loopback and forwards to a port there.

    `freezes_new`: whether new connections are frozen from their start.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.freezes_new = False
        self.lines: list[Line] = []
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def that_sent(self, word: bytes) -> list[Line]:
        """The open connections whose clients have sent a word, such as SUBSCRIBE."""
        return [line for line in self.lines if line.is_open and word in line.sent]

    async def serve(
        self, client: asyncio.StreamReader, to: asyncio.StreamWriter
    ) -> None:
        """Forward one connection until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        line = Line()
        if self.freezes_new:
            line.freeze()
        line.writers.append(to)
        self.lines.append(line)
        with suppress(OSError):
            server, up = await asyncio.open_connection("127.0.0.1", self._target)
            line.writers.append(up)
            await line.carry(client, server)
        line.close()

    async def end(self) -> None:
        """Close all connections. Returns when they are closed."""
        # A connection that was just accepted has no line yet.
        await asyncio.sleep(0)
        for line in self.lines:
            line.thaw()
            line.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        writers = [writer for line in self.lines for writer in line.writers]
        for writer in writers:
            writer.transport.abort()
        closed = (writer.wait_closed() for writer in writers)
        await asyncio.gather(*closed, return_exceptions=True)


@asynccontextmanager
async def proxy_to(target: int | Proxy) -> AsyncIterator[Proxy]:
    """A proxy in front of a port of the loopback; or a given proxy, listening."""
    proxy = Proxy(target) if isinstance(target, int) else target
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()


class ProxyThread:
    """A proxy on its own event loop, for tests whose loop is busy."""

    def __init__(self, target: int) -> None:
        self.proxy = Proxy(target)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def _live(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with proxy_to(self.proxy) as _:
            self._ready.set()
            await self._stopping.wait()

    def freeze(self, word: bytes) -> list[Line]:
        """Freeze the open connections whose clients have sent a word; returns them."""
        lines = self.proxy.that_sent(word)
        for line in lines:
            self._call(line.freeze)
        return lines

    def thaw(self) -> None:
        """Forward all data that waited."""
        for line in self.proxy.lines:
            self._call(line.thaw)

    def _call(self, work: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(work)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._ready.wait()

    def end(self) -> None:
        """Close all connections, and stop."""
        if self._thread.is_alive():
            self._call(self._stopping.set)
            self._thread.join()
