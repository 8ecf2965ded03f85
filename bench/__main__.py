"""`python -m bench [--short] [--only PEER ...] [--scenario NAME ...]`.

Runs every scenario against every peer and writes `bench/results/`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

os.environ["DEBUG"] = "1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beam.settings")

import django
import uvloop

django.setup()

from bench.load import Crowd, Wrong
from bench.peers import PEERS, Peer, Running, redis_server, serve
from tests.processes import find_redis

logging.getLogger("picows").setLevel(logging.WARNING)

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Rooms, their size, and what is sent."""

    name: str
    rooms: int
    size: int
    messages: int
    window: int = 32
    rate: float = 0.0


SCENARIOS = [
    Scenario("room of 200, full speed", 1, 200, 6_000, window=64),
    Scenario("100 rooms of 10, full speed", 100, 10, 1_000, window=8),
    Scenario("room of 2,000, full speed", 1, 2_000, 500, window=16),
    Scenario("room of 200 at 100 messages/s", 1, 200, 500, rate=100.0),
]
# Plain Channels needs two orders of magnitude longer for the same.
SLOW = {"plain channels": 40}


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a scenario against one peer measured."""

    scenario: str
    peer: str
    deliveries: int
    cpu_us_per_delivery: float
    deliveries_per_second: float
    joins_per_second: float
    rss_bytes_per_connection: float
    generator_busy: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    wrong: str = ""


async def measure(scenario: Scenario, peer: Peer, server: Running) -> Result:
    """One run. Raises `Wrong` where a delivery was not as it must be."""
    crowd = Crowd()
    empty = server.weigh()
    joining = await crowd.gather(
        server.base, peer.dialect, scenario.rooms, scenario.size
    )
    people = scenario.rooms * scenario.size
    await asyncio.sleep(0.5)
    full = server.weigh()
    gc.freeze()
    before, busy, began = server.weigh(), time.process_time(), time.perf_counter()
    if scenario.rate:
        await crowd.pace(scenario.messages, scenario.rate)
    else:
        await crowd.flood(scenario.messages, scenario.window)
    seconds = time.perf_counter() - began
    busy, after = time.process_time() - busy, server.weigh()
    await crowd.leave()
    result = Result(
        scenario.name,
        peer.name,
        crowd.deliveries,
        (after.cpu_seconds - before.cpu_seconds) / crowd.deliveries * 1e6,
        crowd.deliveries / seconds,
        people / joining,
        (full.rss_bytes - empty.rss_bytes) / people,
        busy / seconds,
    )
    return _with_latencies(result, crowd.latencies) if crowd.timed else result


def _with_latencies(result: Result, latencies: list[float]) -> Result:
    cuts = statistics.quantiles(latencies, n=1_000)
    return replace(
        result, p50_ms=cuts[499] * 1e3, p99_ms=cuts[989] * 1e3, p999_ms=cuts[998] * 1e3
    )


def run(scenario: Scenario, peer: Peer, redis_url: str) -> Result:
    """A fresh server, one run."""
    with serve(peer, redis_url) as server:
        try:
            return uvloop.run(measure(scenario, peer, server))
        except Wrong as error:
            return Result(scenario.name, peer.name, 0, 0, 0, 0, 0, 0, wrong=str(error))


def tell(result: Result) -> str:
    """One line about a result."""
    if result.wrong:
        return f"    {result.peer:16} NOT MEASURED: {result.wrong}"
    line = (
        f"    {result.peer:16} {result.cpu_us_per_delivery:8.2f} us/delivery"
        f" {result.deliveries_per_second:10,.0f}/s"
        f" {result.joins_per_second:7,.0f} joins/s"
        f" {result.rss_bytes_per_connection:9,.0f} B/conn"
    )
    if result.p99_ms is not None:
        line += f"  p50 {result.p50_ms:.2f} p99 {result.p99_ms:.2f} ms"
    if result.generator_busy > 0.9:
        line += "  (the generator was the bottleneck)"
    return line


def main() -> int:
    """Run what was asked for; 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a fifth of the messages")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--scenario", nargs="*", default=[], metavar="WORD")
    options = parser.parse_args()
    wanted = [s for s in SCENARIOS if all(w in s.name for w in options.scenario)]
    results: list[Result] = []
    with redis_server(find_redis()) as redis_url:
        for number, scenario in enumerate(wanted, 1):
            print(f"[{number}/{len(wanted)}] {scenario.name}", flush=True)
            for name in options.only:
                part = SLOW.get(name, 1) * (5 if options.short else 1)
                fewer = max(scenario.messages // part, 2 * scenario.window // 2)
                sized = replace(scenario, messages=fewer)
                results.append(run(sized, PEERS[name], redis_url))
                print(tell(results[-1]), flush=True)
    _write(results, short=options.short)
    return int(any(result.wrong for result in results))


def _write(results: list[Result], *, short: bool) -> None:
    about = {
        "command": "python -m bench " + " ".join(sys.argv[1:]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "short": short,
        "results": [asdict(result) for result in results],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("short.json" if short else "full.json")
    path.write_text(json.dumps(about, indent=1) + "\n")
    print(f"Wrote {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    sys.exit(main())
