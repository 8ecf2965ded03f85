"""The work of each scenario: what members and backends send, until it is delivered."""

from __future__ import annotations

import asyncio
from functools import partial

from bench.backend import Backend
from bench.dialects import Phoenix
from bench.load import Crowd, InvalidRun
from bench.peers import Running
from bench.scenario import Figures, Scenario

FLOODED_ROOM = 10
FIRST_NUMBER = 1_000_000
FILLING_SECONDS = 1.5
# What the official client does.
HEARTBEAT_SECONDS = 30.0


async def flood(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.flood(scenario.messages, scenario.window)


async def pace(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.pace(scenario.messages, scenario.rate)


async def direct(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.direct(scenario.messages, scenario.window)


async def requests(
    scenario: Scenario, crowd: Crowd, server: Running, _: Figures
) -> None:
    await Backend(server.base, crowd).send(scenario.messages, scenario.batch)


async def idle(scenario: Scenario, crowd: Crowd, server: Running, _: Figures) -> None:
    await crowd.heartbeats(scenario.seconds, HEARTBEAT_SECONDS)


async def one_stops_reading(
    scenario: Scenario, crowd: Crowd, server: Running, figures: Figures
) -> None:
    """The last member stops reading; the server must close it, and only it."""
    [members] = crowd.rooms.values()
    before, sockets, most = server.usage().rss_bytes, server.sockets(), 0
    members[-1].stop_reading()
    pacing = asyncio.ensure_future(crowd.pace(scenario.messages, scenario.rate))
    while not pacing.done():
        await asyncio.wait([pacing], timeout=0.5)
        most = max(most, server.usage().rss_bytes - before)
    await pacing
    figures["memory_growth_bytes"] = most
    figures["sockets_closed"] = sockets - server.sockets()


async def joins(
    scenario: Scenario, crowd: Crowd, server: Running, figures: Figures
) -> None:
    """More members join a room that has all its members already, some at a time."""
    others = Crowd(at_once=scenario.window)
    make = partial(Phoenix, meta=scenario.meta)
    before = server.usage().rss_bytes
    joining = asyncio.ensure_future(
        others.gather(server.base, make, 1, scenario.messages, FIRST_NUMBER, "r0")
    )
    most = 0
    while not joining.done():
        await asyncio.wait([joining], timeout=0.1)
        most = max(most, server.usage().rss_bytes - before)
    figures["joins_per_second"] = scenario.messages / await joining
    before_last = -1
    while others.bytes > before_last:
        # The states are on their way.
        before_last = others.bytes
        await asyncio.sleep(0.5)
    if others.wrong:
        raise InvalidRun(others.wrong)
    figures["bytes_per_join"] = others.bytes / scenario.messages
    figures["memory_growth_bytes"] = most
    await others.leave()


async def one_floods(
    scenario: Scenario, crowd: Crowd, server: Running, _: Figures
) -> None:
    """A member of another room sends as fast as the network accepts."""
    people = scenario.rooms * scenario.size
    others = Crowd()
    dialect = type(next(iter(crowd.rooms.values()))[0].dialect)
    await others.gather(server.base, dialect, 1, FLOODED_ROOM, people)
    flooding = asyncio.ensure_future(others.flood_without_pause())
    # Filling the network's buffers keeps the generator busy, not the server.
    await asyncio.sleep(FILLING_SECONDS)
    try:
        await crowd.pace(scenario.messages, scenario.rate)
    finally:
        flooding.cancel()
        await others.leave()
