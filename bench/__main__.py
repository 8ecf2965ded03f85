"""`python -m bench [--short] [--runs N] [--only PEER ...] [--scenario WORD ...]`.

With `--update`, the scenarios that were run take the place of those recorded.

Runs every scenario against every peer that can do it, and writes
`bench/results/`.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
import time
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
SHORT_PART = 4
SLOWEST_WINDOW = 4


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
    messages = scenario.messages // (SHORT_PART if short else 1)
    window = scenario.window
    if peer == "plain channels":
        window = SLOWEST_WINDOW
        messages = int(messages * scenario.slow)
    return replace(scenario, messages=max(messages, window), window=window)


def main() -> int:
    """Run the requested scenarios; 1 if a run of Beam failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="once, fewer messages")
    parser.add_argument("--runs", type=int, help=f"medians of so many ({RUNS})")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--scenario", nargs="*", default=[], metavar="WORD")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    # The server does not start without its tables.
    call_command("migrate", verbosity=0)
    runs = options.runs or (1 if options.short else RUNS)
    mode = "short" if options.short else "full"
    wanted = [
        scenario
        for scenario in SCENARIOS
        if mode in scenario.modes
        and all(word in scenario.name for word in options.scenario)
    ]
    began = time.perf_counter()
    results: list[Result] = []
    if not options.scenario:
        results += floor.measure()
        print(f"[0/{len(wanted)}] {floor.NAME}")
        print("\n".join(map(report.line, results)), flush=True)
    with redis_server(find_redis()) as redis_url:
        for number, scenario in enumerate(wanted, 1):
            minutes = (time.perf_counter() - began) / 60
            print(f"[{number}/{len(wanted)}] {scenario.name} ({minutes:.1f} min)")
            for name in (n for n in options.only if n in scenario.peers_in(mode)):
                one = sized(scenario, name, short=options.short)
                several = [run(one, PEERS[name], redis_url) for _ in range(runs)]
                results.append(median(several))
                print(report.line(results[-1]), flush=True)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    if options.update:
        results, before = report.updated(results, short=options.short)
        command = f"{before}; {command}"
    print("\n".join(report.verdicts(results)))
    about = {
        "command": command,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "runs": runs,
    }
    partial = bool(options.scenario) or options.only != list(PEERS)
    if partial and not options.update:
        return 0
    print(f"Wrote {report.write(results, about, short=options.short)} and plots")
    return int(any(r.wrong for r in results if r.peer.startswith("beam")))


if __name__ == "__main__":
    sys.exit(main())
