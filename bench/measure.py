"""Measures a scenario on a server: CPU, memory and latencies."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from functools import partial

from bench.dialects import Phoenix
from bench.load import Crowd, InvalidRun, MakeDialect
from bench.peers import Peer, Running, Usage
from bench.scenario import Figures, Result, Scenario, Work


async def measure(scenario: Scenario, peer: Peer, server: Running) -> Result:
    """One run. Raises `InvalidRun` if a delivery was wrong."""
    crowd = Crowd(at_once=scenario.at_once)
    empty = server.usage()
    joining = await crowd.gather(
        server.base, _dialect(scenario, peer), scenario.rooms, scenario.size
    )
    people = scenario.rooms * scenario.size
    if crowd.wrong:
        raise InvalidRun(crowd.wrong)
    joined = server.usage()
    await asyncio.sleep(0.5)
    full = server.usage()
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
    before, busy, began = server.usage(), time.process_time(), time.perf_counter()
    await work(scenario, crowd, server, figures)
    seconds = time.perf_counter() - began
    figures["generator_busy"] = (time.process_time() - busy) / seconds
    cpu = _cpu(before, server.usage())
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


def _cpu(before: Usage, after: Usage) -> float:
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
