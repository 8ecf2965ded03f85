"""The servers and the Redis of a stress run, and the failures that are caused."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import time
from collections.abc import Awaitable, Callable
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
from tests.stress.ledger import Ledger, Outage

LEASE_SECONDS = 4.0
RENEW_SECONDS = 1.0
REDIS_TIMEOUT = 1.0
PROCESSES = 3
SECRET = {"secret": "dev-secret"}
# Redis loses accepted messages, or a process receives nothing from it for longer than
# its timeout: sockets that stay open may lose events.
LOSING = {
    "SIGSTOP a process beyond its lease",
    "pause Redis",
    "restart Redis, empty",
    "cut the subscriptions",
    "cut all connections to Redis",
    "Redis is out of memory",
    "Redis is a replica",
    "freeze a subscription",
}
# No process is killed or stopped beyond its lease, and Redis loses no data: no member
# seems to leave.
STEADY = {
    "SIGSTOP a process for a moment",
    "pause Redis",
    "cut the subscriptions",
    "cut all connections to Redis",
    "Redis is out of memory",
    "Redis is a replica",
    "freeze a subscription",
    "Redis's clock jumps",
}
# How long a process may keep a frozen subscription.
FREEZE_SECONDS = 10.0
JUMPS = (-60.0, -12.0, 12.0, 60.0)
LOOK = re.compile(r"^stress look (\{.*\})$", re.MULTILINE)


@dataclass
class Look:
    """What one process holds."""

    sockets: int
    rooms: int
    tasks: int
    files: int
    rss: int


class World:
    """Three processes on separate ports, as on three hosts, and a Redis.

    The first process reaches Redis through a proxy. `broken`: broken promises, for
    the report.
    """

    def __init__(self, folder: Path, ledger: Ledger, seed: str) -> None:
        self.ledger = ledger
        self.broken: list[str] = []
        self.servers: list[Server] = []
        self._random = random.Random(seed)
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
        """Start Redis, then the processes one by one: the machine may be busy."""
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
        """End everything that still runs, stopped or not."""
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                server.kill()
        self._stack.close()

    def _resume_redis(self) -> None:
        if self.redis.process is not None:
            self.redis.process.send_signal(signal.SIGCONT)

    def places(self) -> list[str]:
        """The mounts for clients: any server, whether it runs or not."""
        return [server.socket_url for server in self.servers]

    def disturbances(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """By name: each does its harm and ends when its cause has ended."""
        return {
            "SIGKILL a process": self._kill,
            "SIGSTOP a process beyond its lease": self._stall,
            "SIGSTOP a process for a moment": self._blink,
            "SIGTERM a process": self._term,
            "pause Redis": self._pause,
            "restart Redis, empty": self._restart_redis,
            "flush Redis": self._flush,
            "cut the subscriptions": self._cut,
            "cut all connections to Redis": self._sever,
            "Redis is out of memory": self._fill,
            "Redis is a replica": self._demote,
            "freeze a subscription": self._freeze,
            "Redis's clock jumps": self._jump,
        }

    async def disturb(self, kind: str) -> Outage:
        """Do it, and note when it began and ended."""
        outage = Outage(kind, time.monotonic(), kind in LOSING, kind in STEADY)
        self.ledger.outages.append(outage)
        await self.disturbances()[kind]()
        return outage

    def _one(self) -> Server:
        return self._random.choice(self.servers)

    def _signal(self, server: Server, number: signal.Signals) -> None:
        assert server.process is not None
        server.process.send_signal(number)

    async def _kill(self) -> None:
        server = self._one()
        server.kill()
        await asyncio.sleep(self._random.uniform(0.2, 2.0))
        await asyncio.to_thread(server.start)

    async def _term(self) -> None:
        server = self._one()
        await asyncio.to_thread(server.restart)

    async def _stall(self) -> None:
        await self._stop_for(self._one(), LEASE_SECONDS * 1.5 + RENEW_SECONDS)

    async def _blink(self) -> None:
        await self._stop_for(self._one(), REDIS_TIMEOUT * 0.5)

    async def _stop_for(self, server: Server, seconds: float) -> None:
        self._signal(server, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._signal(server, signal.SIGCONT)

    async def _pause(self) -> None:
        assert self.redis.process is not None
        self.redis.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.choice([2.0, 5.0, 10.0]))
        self.redis.process.send_signal(signal.SIGCONT)

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self.redis.stop)
        await asyncio.sleep(self._random.uniform(0.2, 3.0))
        await asyncio.to_thread(self.redis.start)

    async def _flush(self) -> None:
        await self.command("FLUSHALL")

    async def _cut(self) -> None:
        await self.command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _sever(self) -> None:
        await self.command("CLIENT", "KILL", "TYPE", "normal")
        await self.command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _fill(self) -> None:
        await self.command("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(self._random.uniform(2.0, 6.0))
        await self.command("CONFIG", "SET", "maxmemory", "0")

    async def _demote(self) -> None:
        await self.command("REPLICAOF", "127.0.0.1", "1")
        await asyncio.sleep(self._random.uniform(2.0, 6.0))
        await self.command("REPLICAOF", "NO", "ONE")

    async def _freeze(self) -> None:
        """Until the process has made another connection."""
        proxy = self.proxy.proxy
        frozen = self.proxy.freeze(b"SUBSCRIBE")
        deadline = time.monotonic() + FREEZE_SECONDS
        while not set(proxy.that_said(b"SUBSCRIBE")) - set(frozen):
            if time.monotonic() > deadline:
                text = f"a frozen subscription is kept for {FREEZE_SECONDS} s"
                self.broken.append(text)
                break
            await asyncio.sleep(0.05)
        self.proxy.thaw()

    async def _jump(self) -> None:
        self.redis.jump(self._random.choice(JUMPS))
        await asyncio.sleep(LEASE_SECONDS)
        self.redis.jump(0)

    async def command(self, *command: Any) -> Any:
        """Send a command to Redis."""
        async with redis.Redis.from_url(self.redis.url) as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def entries(self, room: str, session: str) -> list[str]:
        """What Redis holds of a session in a room."""
        digest = blake2b(room.encode(), digest_size=16).hexdigest()
        found = await self.command("HVALS", f"beam:{{{digest}}}:present")
        texts = [entry.decode() for entry in found]
        return [text for text in texts if f'"{session}"' in text]

    async def keys_that_stay(self) -> list[str]:
        """Every key in Redis that will not expire, except those of the processes."""
        async with redis.Redis.from_url(
            self.redis.url, decode_responses=True
        ) as client:
            return [
                key
                async for key in client.scan_iter()
                if "{processes}" not in key and await client.ttl(key) < 0
            ]

    async def dead_processes(self) -> list[str]:
        """What Redis holds about processes that do not run.

        As many counts as processes, what each of them reports, and no claims.
        """
        stem = "beam:{processes}"
        async with redis.Redis.from_url(
            self.redis.url, decode_responses=True
        ) as client:
            names = ("beats", "about", "claims")
            found: list[Any] = [await client.hgetall(f"{stem}:{n}") for n in names]
        beats, about, claims = found
        running = {server.process.pid for server in self.servers if server.process}
        dead = [
            text for text in about.values() if json.loads(text)["pid"] not in running
        ]
        dead += [f"a count of {one}" for one in beats.keys() - about.keys()]
        return dead + [f"{one} claimed {claim}" for one, claim in claims.items()]

    async def look(self, server: Server) -> Look:
        """What a process holds now, as it and the system report."""
        assert server.process is not None
        pid = server.process.pid
        before = len(LOOK.findall(server.text()))
        self._signal(server, signal.SIGUSR1)
        async with asyncio.timeout(10), httpx.AsyncClient() as http:
            url = f"{server.url}/api/v1/processes"
            while len(found := LOOK.findall(server.text())) == before:
                await http.get(f"{server.url}/healthz")
            while True:
                known = (await http.get(url, headers=SECRET)).json()["processes"]
                mine = [one for one in known if one["pid"] == pid]
                if mine:
                    break
                await asyncio.sleep(0.1)
        process = psutil.Process(pid)
        return Look(
            sockets=mine[0]["sockets"],
            rooms=mine[0]["rooms"],
            tasks=json.loads(found[-1])["tasks"],
            files=process.num_fds(),
            rss=process.memory_info().rss,
        )
