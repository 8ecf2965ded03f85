"""`python -m bench [--short] [--runs N] [--only PEER ...] [--scenario WORD ...]`.

Runs every scenario against every peer that can do it, and writes `bench/results/`.
With `--update`, only the scenarios that were run replace their recorded results.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

os.environ["DEBUG"] = "1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beam.settings")

import django
import picows
import uvloop
from django.core.management import call_command

django.setup()

from bench import floor, report
from bench.load import InvalidRun
from bench.measure import measure, median
from bench.peers import PEERS, Peer, redis_server, serve
from bench.scenario import Result, Scenario
from bench.scenarios import SCENARIOS
from tests.processes import find_redis

logging.getLogger("picows").setLevel(logging.CRITICAL)

RUNS = 3
SHORT_DIVISOR = 4
SLOW_WINDOW = 4


def run(scenario: Scenario, peer: Peer, redis_url: str) -> Result:
    """Run once, with a new server."""
    with serve(peer, redis_url, limited=scenario.limited) as server:
        try:
            return uvloop.run(measure(scenario, peer, server))
        except (InvalidRun, OSError, TimeoutError, picows.WSError) as error:
            why = str(error) or type(error).__name__
            return Result(scenario.name, peer.name, scenario.unit, wrong=why)


def sized(scenario: Scenario, peer: str, *, short: bool) -> Scenario:
    """The scenario, with a number of messages that this peer can handle in the time."""
    messages = scenario.messages // (SHORT_DIVISOR if short else 1)
    window = scenario.window
    if peer == "plain channels":
        window = SLOW_WINDOW
        messages = int(messages * scenario.slow)
    return replace(scenario, messages=max(messages, window), window=window)


def main() -> int:
    """Run the requested scenarios; 1 if a run of Beam failed."""
    options = _options()
    # The server does not start without its tables.
    call_command("migrate", verbosity=0)
    results = [] if options.scenario else _measure_floor()
    with redis_server(find_redis()) as redis_url:
        results += _run_all(options, redis_url)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    if options.update:
        results, before = report.updated(results, short=options.short)
        command = f"{before}; {command}"
    print("\n".join(report.verdicts(results)))
    is_partial = bool(options.scenario) or options.only != list(PEERS)
    if is_partial and not options.update:
        return 0
    about = {
        "command": command,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "runs": _runs(options),
    }
    print(f"Wrote {report.write(results, about, short=options.short)} and plots")
    return int(any(r.wrong for r in results if r.peer.startswith("beam")))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--short", action="store_true", help="one run, with fewer messages")
    add("--runs", type=int, metavar="N", help=f"take the medians of N runs ({RUNS})")
    add(
        "--only",
        nargs="*",
        choices=PEERS,
        default=list(PEERS),
        metavar="PEER",
        help="measure only these peers",
    )
    add(
        "--scenario",
        nargs="*",
        default=[],
        metavar="WORD",
        help="run only scenarios whose names contain all these words",
    )
    add("--update", action="store_true", help="replace the recorded results of these")
    return parser.parse_args()


def _runs(options: argparse.Namespace) -> int:
    """How often each scenario is run."""
    return int(options.runs or (1 if options.short else RUNS))


def _measure_floor() -> list[Result]:
    results = floor.measure()
    print(floor.NAME)
    print("\n".join(map(report.line, results)), flush=True)
    return results


def _run_all(options: argparse.Namespace, redis_url: str) -> Iterator[Result]:
    """Run the requested scenarios on the requested peers, and print each result."""
    mode = "short" if options.short else "full"
    wanted = [
        scenario
        for scenario in SCENARIOS
        if mode in scenario.modes
        and all(word in scenario.name for word in options.scenario)
    ]
    began = time.perf_counter()
    for number, scenario in enumerate(wanted, 1):
        minutes = (time.perf_counter() - began) / 60
        print(f"[{number}/{len(wanted)}] {scenario.name} ({minutes:.1f} min)")
        for name in (n for n in options.only if n in scenario.peers_in(mode)):
            one = sized(scenario, name, short=options.short)
            runs = [run(one, PEERS[name], redis_url) for _ in range(_runs(options))]
            result = median(runs)
            print(report.line(result), flush=True)
            yield result


if __name__ == "__main__":
    sys.exit(main())
