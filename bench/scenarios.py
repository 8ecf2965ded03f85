"""The scenarios: what is done to a server, and what is measured."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from bench.backend import Backend
from bench.dialects import BODY_BYTES, Phoenix
from bench.load import Crowd, MakeDialect, Wrong
from bench.peers import Peer, Running, Weight

BOTH = frozenset({"beam", "beam over redis"})
SINGLE = BOTH | {"plain channels", "ws", "socket.io"}
EVERY_RUN = frozenset({"short", "full"})


Work = Callable[["Scenario", Crowd, Running, dict[str, float]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rooms, their size, and the work that is done in them.

    `work`: sends, and returns when all was delivered. None: joining is all.
    `meta`: bytes of each member's presence meta, for Beam only.
    `unit`: what CPU is counted for.
    `peers`: those that can do it; `short_peers`: those of the short run.
    `slow`: the share of the messages that plain Channels gets through in time.
    `slowed`: Beam's limits on senders are in force.
    `modes`: of which runs it is part.
    """

    name: str
    rooms: int
    size: int
    messages: int = 0
    window: int = 32
    rate: float = 0.0
    bytes: int = BODY_BYTES
    meta: int = 0
    batch: int = 1
    seconds: float = 30.0
    work: Work | None = None
    unit: str = "delivery"
    peers: frozenset[str] = SINGLE
    short_peers: frozenset[str] | None = None
    at_once: int = 50
    slow: float = 1 / 40
    slowed: bool = False
    modes: frozenset[str] = EVERY_RUN

    def peers_in(self, mode: str) -> frozenset[str]:
        """The peers of a `short` or a `full` run."""
        short = self.short_peers if mode == "short" else None
        return self.peers if short is None else short


@dataclass(slots=True)
class Result:
    """The result of one run of a scenario with one peer."""

    scenario: str
    peer: str
    unit: str
    figures: dict[str, float] = field(default_factory=dict)
    wrong: str = ""


Figures = dict[str, float]


async def _flood(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.flood(scenario.messages, scenario.window)


async def _pace(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.pace(scenario.messages, scenario.rate)


async def _direct(
    scenario: Scenario, crowd: Crowd, server: Running, _: Figures
) -> None:
    await crowd.direct(scenario.messages, scenario.window)


async def _requests(
    scenario: Scenario, crowd: Crowd, server: Running, _: Figures
) -> None:
    await Backend(server.base, crowd).send(scenario.messages, scenario.batch)


async def _idle(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.heartbeats(scenario.seconds, HEARTBEAT_SECONDS)


async def _one_is_stuck(
    scenario: Scenario, crowd: Crowd, server: Running, figures: Figures
) -> None:
    """The last member stops reading; the server must close it, and only it."""
    [members] = crowd.rooms.values()
    before, sockets, most = server.weigh().rss_bytes, server.sockets(), 0
    members[-1].stop_reading()
    pacing = asyncio.ensure_future(crowd.pace(scenario.messages, scenario.rate))
    while not pacing.done():
        await asyncio.wait([pacing], timeout=0.5)
        most = max(most, server.weigh().rss_bytes - before)
    await pacing
    figures["memory_growth_bytes"] = most
    figures["sockets_closed"] = sockets - server.sockets()


async def _newcomers(
    scenario: Scenario, crowd: Crowd, server: Running, figures: Figures
) -> None:
    """More members join a room that has all its members already, some at a time."""
    others = Crowd(at_once=scenario.window)
    make = partial(Phoenix, meta=scenario.meta)
    before = server.weigh().rss_bytes
    joining = asyncio.ensure_future(
        others.gather(server.base, make, 1, scenario.messages, FIRST_NEWCOMER, "r0")
    )
    most = 0
    while not joining.done():
        await asyncio.wait([joining], timeout=0.1)
        most = max(most, server.weigh().rss_bytes - before)
    figures["joins_per_second"] = scenario.messages / await joining
    before_last = -1
    while others.bytes > before_last:
        # The states are on their way.
        before_last = others.bytes
        await asyncio.sleep(0.5)
    if others.wrong:
        raise Wrong(others.wrong)
    figures["bytes_per_join"] = others.bytes / scenario.messages
    figures["memory_growth_bytes"] = most
    await others.leave()


async def _one_floods(
    scenario: Scenario, crowd: Crowd, server: Running, _: Figures
) -> None:
    """A member of another room sends as fast as the network accepts."""
    people = scenario.rooms * scenario.size
    others = Crowd()
    dialect = type(next(iter(crowd.rooms.values()))[0].dialect)
    await others.gather(server.base, dialect, 1, FLOODED_ROOM, people)
    pressing = asyncio.ensure_future(others.press())
    # Filling the network's buffers keeps the generator busy, not the server.
    await asyncio.sleep(FILLING_SECONDS)
    try:
        await crowd.pace(scenario.messages, scenario.rate)
    finally:
        pressing.cancel()
        await others.leave()


FLOODED_ROOM = 10
FIRST_NEWCOMER = 1_000_000
FILLING_SECONDS = 1.5
# What the official client does.
HEARTBEAT_SECONDS = 30.0
SHORT = frozenset({"short"})
FULL = frozenset({"full"})

SCENARIOS = [
    Scenario("room of 200, full speed", 1, 200, 6_000, 64, work=_flood),
    Scenario(
        *("100 rooms of 10, full speed", 100, 10, 1_000, 8),
        work=_flood,
        short_peers=BOTH | {"ws", "socket.io"},
    ),
    Scenario(
        *("room of 2,000, full speed", 1, 2_000, 1_500, 64),
        work=_flood,
        slow=1 / 100,
        short_peers=frozenset({"beam"}),
    ),
    Scenario(
        *("room of 200 at 100 messages/s", 1, 200, 500),
        rate=100.0,
        work=_pace,
        short_peers=BOTH | {"ws", "socket.io"},
    ),
    Scenario(
        *("room of 200 on two processes", 1, 200, 6_000, 64),
        work=_flood,
        peers=frozenset({"beam over redis", "beam, two processes"}),
    ),
    Scenario(
        *("direct messages in a room of 10", 1, 10, 100_000, 64),
        work=_direct,
        peers=BOTH,
    ),
    Scenario(
        *("direct messages in a room of 1,000", 1, 1_000, 100_000, 64),
        work=_direct,
        peers=BOTH,
    ),
    Scenario(
        *("one event per REST request", 8, 10, 800),
        work=_requests,
        unit="request",
        peers=BOTH,
    ),
    Scenario(
        *("events over REST, 100 a request", 8, 10, 15_000),
        batch=100,
        work=_requests,
        unit="event",
        peers=BOTH,
    ),
    Scenario(
        *("join storm, 40 rooms of 50", 40, 50),
        unit="join",
        peers=BOTH | {"plain channels"},
        at_once=500,
        modes=SHORT,
    ),
    Scenario(
        *("join storm, 100 rooms of 50", 100, 50),
        unit="join",
        at_once=500,
        modes=FULL,
    ),
    Scenario(
        *("presence storm, one room of 1,000", 1, 1_000),
        unit="join",
        peers=BOTH,
        at_once=500,
    ),
    Scenario(
        *("joins to a room of 1,000 with 200 bytes of meta", 1, 1_000, 400, 16),
        meta=200,
        work=_newcomers,
        unit="join",
        peers=BOTH,
        at_once=100,
        modes=SHORT,
    ),
    Scenario(
        *("joins to a room of 5,000 with 200 bytes of meta", 1, 5_000, 200, 16),
        meta=200,
        work=_newcomers,
        unit="join",
        peers=BOTH,
        at_once=100,
        modes=FULL,
    ),
    Scenario(
        *("2,000 idle sockets", 200, 10),
        work=_idle,
        unit="socket and second",
        seconds=5.0,
        peers=BOTH,
        modes=SHORT,
    ),
    Scenario(
        *("10,000 idle sockets", 1_000, 10),
        work=_idle,
        unit="socket and second",
        modes=FULL,
    ),
    Scenario(
        *("room of 200 at 100 messages/s, limits on", 1, 200, 500),
        rate=100.0,
        work=_pace,
        peers=BOTH,
        slowed=True,
        modes=FULL,
    ),
    Scenario(
        *("the same, and one floods another room", 1, 200, 500),
        rate=100.0,
        work=_one_floods,
        peers=BOTH,
        slowed=True,
        modes=FULL,
    ),
    Scenario(
        *("room of 200 at 100 messages/s of 8 kB", 1, 200, 1_200),
        rate=100.0,
        bytes=8_000,
        work=_pace,
        peers=BOTH,
        modes=FULL,
    ),
    Scenario(
        *("the same, and one stops reading", 1, 200, 1_200),
        rate=100.0,
        bytes=8_000,
        work=_one_is_stuck,
        peers=BOTH,
        modes=FULL,
    ),
]


async def measure(scenario: Scenario, peer: Peer, server: Running) -> Result:
    """One run. Raises `Wrong` if a delivery was wrong."""
    crowd = Crowd(at_once=scenario.at_once)
    empty = server.weigh()
    joining = await crowd.gather(
        server.base, _dialect(scenario, peer), scenario.rooms, scenario.size
    )
    people = scenario.rooms * scenario.size
    if crowd.wrong:
        raise Wrong(crowd.wrong)
    joined = server.weigh()
    await asyncio.sleep(0.5)
    full = server.weigh()
    result = Result(scenario.name, peer.name, scenario.unit)
    figures = result.figures
    figures["joins_per_second"] = people / joining
    figures["rss_bytes_per_connection"] = (full.rss_bytes - empty.rss_bytes) / people
    if scenario.work is None:
        figures["cpu_us_per_join"] = _cpu(empty, joined) / people * 1e6
        figures["frames_per_member"] = crowd.frames / people
    else:
        for members in crowd.rooms.values():
            members[0].dialect.size = scenario.bytes
        await _work(scenario, scenario.work, crowd, server, figures)
    await crowd.leave()
    return result


def _dialect(scenario: Scenario, peer: Peer) -> MakeDialect:
    return partial(Phoenix, meta=scenario.meta) if scenario.meta else peer.dialect


async def _work(
    scenario: Scenario, work: Work, crowd: Crowd, server: Running, figures: Figures
) -> None:
    gc.freeze()
    before, busy, began = server.weigh(), time.process_time(), time.perf_counter()
    await work(scenario, crowd, server, figures)
    seconds = time.perf_counter() - began
    figures["generator_busy"] = (time.process_time() - busy) / seconds
    cpu = _cpu(before, server.weigh())
    units = crowd.deliveries
    if scenario.unit in ("request", "event"):
        units = scenario.messages * scenario.rooms
    elif scenario.unit == "join":
        units = scenario.messages
    elif scenario.unit != "delivery":
        units = int(scenario.rooms * scenario.size * seconds)
    figures["cpu_us"] = cpu / units * 1e6
    figures["units_per_second"] = units / seconds
    figures |= _latencies(crowd.latencies)


def _cpu(before: Weight, after: Weight) -> float:
    return after.cpu_seconds - before.cpu_seconds


def _latencies(latencies: list[float]) -> Figures:
    if not latencies:
        return {}
    cuts = statistics.quantiles(latencies, n=1_000)
    names = {"p50_ms": 499, "p99_ms": 989, "p999_ms": 998}
    return {name: cuts[at] * 1e3 for name, at in names.items()}


def median(results: list[Result]) -> Result:
    """The medians of several runs; one failed run makes them invalid."""
    first = results[0]
    for result in results:
        if result.wrong:
            return result
    figures = {
        name: statistics.median(result.figures[name] for result in results)
        for name in first.figures
    }
    return Result(first.scenario, first.peer, first.unit, figures)


__all__ = ["SCENARIOS", "Result", "Scenario", "Wrong", "measure", "median"]
