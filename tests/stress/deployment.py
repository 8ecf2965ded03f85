"""Owns the server processes and the Redis of a stress run."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx
import psutil
import redis.asyncio as redis

from tests.processes import Server, free_port, jumping_redis, migrated
from tests.proxy import ProxyThread
from tests.stress.ledger import Ledger

LEASE_SECONDS = 4.0
RENEW_SECONDS = 1.0
REDIS_TIMEOUT = 1.0
PROCESSES = 3
SECRET = {"secret": "dev-secret"}
STATE = re.compile(r"^stress state (\{.*\})$", re.MULTILINE)


@dataclass
class ProcessState:
    """What one process holds: numbers, and resident memory in bytes."""

    sockets: int
    rooms: int
    tasks: int
    files: int
    rss: int


class Deployment:
    """Three processes with a port each, as on three hosts, and one Redis.

    There is a proxy between the first process and Redis. `broken`: promises that were
    not kept, for the report.
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self.ledger = ledger
        self.broken: list[str] = []
        self.servers: list[Server] = []
        self._folder = folder
        self._stack = ExitStack()

    def _server(self, number: int) -> Server:
        folder = self._folder
        port = free_port()
        env = {
            "DEBUG": "1",
            "DATABASE_URL": f"sqlite:///{folder / 'beam.sqlite3'}",
            "DJANGO_SETTINGS_MODULE": "beam.settings",
            "REDIS_URL": self.redis.url if number else self.proxy.proxy.url,
            "BEAM_LEASE_SECONDS": str(LEASE_SECONDS),
            "BEAM_LEASE_RENEW": str(RENEW_SECONDS),
            "BEAM_REDIS_TIMEOUT": str(REDIS_TIMEOUT),
        }
        command = ("-m", "tests.serve", "{port}")
        return Server(command, env, port, folder / f"process-{number}.log")

    async def start(self) -> None:
        """Start Redis, then the processes one by one, since the machine may be busy."""
        (self._folder / "beam.sqlite3").write_bytes(migrated())
        jumping = jumping_redis()
        self.redis = await asyncio.to_thread(self._stack.enter_context, jumping)
        self._stack.callback(self._resume_redis)
        self.proxy = ProxyThread(self.redis.port)
        self.proxy.start()
        self._stack.callback(self.proxy.end)
        self.servers = [self._server(number) for number in range(PROCESSES)]
        for server in self.servers:
            await asyncio.to_thread(server.start)

    def end(self) -> None:
        """End all that still runs, stopped processes too."""
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                server.kill()
        self._stack.close()

    def _resume_redis(self) -> None:
        if self.redis.process is not None:
            self.redis.process.send_signal(signal.SIGCONT)

    def urls(self) -> list[str]:
        """The WebSocket URLs of all processes, whether they run or not."""
        return [server.socket_url for server in self.servers]

    async def command(self, *command: Any) -> Any:
        """Run a Redis command as an operator."""
        async with redis.Redis.from_url(self.redis.url) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def entries(self, room: str, session: str) -> list[str]:
        """The entries of a session in a room, as stored in Redis."""
        digest = blake2b(room.encode(), digest_size=16).hexdigest()
        found = await self.command("HVALS", f"beam:{{{digest}}}:present")
        texts = [entry.decode() for entry in found]
        return [text for text in texts if f'"{session}"' in text]

    async def keys_that_stay(self) -> list[str]:
        """The keys in Redis that do not expire, except those of leases."""
        async with redis.Redis.from_url(
            self.redis.url, decode_responses=True
        ) as client:
            return [
                key
                async for key in client.scan_iter()
                if "{processes}" not in key and await client.ttl(key) < 0
            ]

    async def dead_processes(self) -> list[str]:
        """What the keys of leases hold of processes that do not run, and all claims."""
        stem = "beam:{processes}"
        async with redis.Redis.from_url(
            self.redis.url, decode_responses=True
        ) as client:
            names = ("beats", "about", "claims")
            found: list[Any] = [await client.hgetall(f"{stem}:{n}") for n in names]
        renewals, reports, claims = found
        running = {server.process.pid for server in self.servers if server.process}
        dead = [
            text for text in reports.values() if json.loads(text)["pid"] not in running
        ]
        dead += [f"renewals of {one}" for one in renewals.keys() - reports.keys()]
        return dead + [f"{one} claimed {claim}" for one, claim in claims.items()]

    async def state_of(self, server: Server) -> ProcessState:
        """What a process holds now, as it reports and as the system does."""
        assert server.process is not None
        pid = server.process.pid
        before = len(STATE.findall(server.text()))
        server.process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(10), httpx.AsyncClient() as http:
            url = f"{server.url}/api/v1/processes"
            while len(found := STATE.findall(server.text())) == before:
                await http.get(f"{server.url}/healthz")
            while True:
                known = (await http.get(url, headers=SECRET)).json()["processes"]
                mine = [one for one in known if one["pid"] == pid]
                if mine:
                    break
                await asyncio.sleep(0.1)
        process = psutil.Process(pid)
        return ProcessState(
            sockets=mine[0]["sockets"],
            rooms=mine[0]["rooms"],
            tasks=json.loads(found[-1])["tasks"],
            files=process.num_fds(),
            rss=process.memory_info().rss,
        )
