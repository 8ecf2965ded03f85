"""Disturbs a deployment: stops processes, cuts connections, makes Redis fail."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

from tests.processes import Server
from tests.stress.deployment import (
    LEASE_SECONDS,
    REDIS_TIMEOUT,
    RENEW_SECONDS,
    Deployment,
)
from tests.stress.ledger import Outage

# Redis loses events that it accepted, or does not answer a process in time: sockets
# that stay open may miss events.
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
# No process dies or is stopped beyond its lease, and Redis keeps its data: no connected
# member may seem to leave.
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
# Within this time a process must replace a frozen subscription.
FREEZE_SECONDS = 10.0
JUMPS = (-60.0, -12.0, 12.0, 60.0)


class Disturbances:
    """Everything that can disturb a deployment. The seed chooses the details."""

    def __init__(self, deployment: Deployment, seed: str) -> None:
        self._deployment = deployment
        self._random = random.Random(seed)

    def kinds(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """The disturbances by name. Each returns when its cause has ended."""
        return {
            "SIGKILL a process": self._kill,
            "SIGSTOP a process beyond its lease": self._stop_beyond_lease,
            "SIGSTOP a process for a moment": self._stop_briefly,
            "SIGTERM a process": self._terminate,
            "pause Redis": self._pause_redis,
            "restart Redis, empty": self._restart_redis,
            "flush Redis": self._flush_redis,
            "cut the subscriptions": self._cut_subscriptions,
            "cut all connections to Redis": self._cut_all,
            "Redis is out of memory": self._fill_memory,
            "Redis is a replica": self._make_replica,
            "freeze a subscription": self._freeze_subscription,
            "Redis's clock jumps": self._jump_clock,
        }

    async def start(self, kind: str) -> Outage:
        """Make a disturbance, and add it to the ledger as an outage."""
        outage = Outage(kind, time.monotonic(), kind in LOSING, kind in STEADY)
        self._deployment.ledger.outages.append(outage)
        await self.kinds()[kind]()
        return outage

    def _any_server(self) -> Server:
        return self._random.choice(self._deployment.servers)

    async def _kill(self) -> None:
        server = self._any_server()
        server.kill()
        await asyncio.sleep(self._random.uniform(0.2, 2.0))
        await asyncio.to_thread(server.start)

    async def _terminate(self) -> None:
        server = self._any_server()
        await asyncio.to_thread(server.restart)

    async def _stop_beyond_lease(self) -> None:
        await self._stop_for(self._any_server(), LEASE_SECONDS * 1.5 + RENEW_SECONDS)

    async def _stop_briefly(self) -> None:
        await self._stop_for(self._any_server(), REDIS_TIMEOUT * 0.5)

    async def _stop_for(self, server: Server, seconds: float) -> None:
        _signal(server, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        _signal(server, signal.SIGCONT)

    async def _pause_redis(self) -> None:
        assert self._deployment.redis.process is not None
        self._deployment.redis.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self._random.choice([2.0, 5.0, 10.0]))
        self._deployment.redis.process.send_signal(signal.SIGCONT)

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self._deployment.redis.stop)
        await asyncio.sleep(self._random.uniform(0.2, 3.0))
        await asyncio.to_thread(self._deployment.redis.start)

    async def _flush_redis(self) -> None:
        await self._deployment.command("FLUSHALL")

    async def _cut_subscriptions(self) -> None:
        await self._deployment.command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _cut_all(self) -> None:
        await self._deployment.command("CLIENT", "KILL", "TYPE", "normal")
        await self._deployment.command("CLIENT", "KILL", "TYPE", "pubsub")

    async def _fill_memory(self) -> None:
        await self._deployment.command("CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(self._random.uniform(2.0, 6.0))
        await self._deployment.command("CONFIG", "SET", "maxmemory", "0")

    async def _make_replica(self) -> None:
        await self._deployment.command("REPLICAOF", "127.0.0.1", "1")
        await asyncio.sleep(self._random.uniform(2.0, 6.0))
        await self._deployment.command("REPLICAOF", "NO", "ONE")

    async def _freeze_subscription(self) -> None:
        """Freeze a subscription until the process makes another one."""
        proxy = self._deployment.proxy.proxy
        frozen = self._deployment.proxy.freeze(b"SUBSCRIBE")
        deadline = time.monotonic() + FREEZE_SECONDS
        while not set(proxy.that_sent(b"SUBSCRIBE")) - set(frozen):
            if time.monotonic() > deadline:
                text = (
                    f"a frozen subscription was not replaced within {FREEZE_SECONDS} s"
                )
                self._deployment.broken.append(text)
                break
            await asyncio.sleep(0.05)
        self._deployment.proxy.thaw()

    async def _jump_clock(self) -> None:
        self._deployment.redis.jump(self._random.choice(JUMPS))
        await asyncio.sleep(LEASE_SECONDS)
        self._deployment.redis.jump(0)


def _signal(server: Server, number: signal.Signals) -> None:
    assert server.process is not None
    server.process.send_signal(number)
