"""`python -m tests.stress --seconds 60 --seed 1`: a stress run; see `tests.stress`."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from tests.stress.run import Run  # noqa: E402 - Django's settings come first


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run and print the report. Returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="how long to disturb (60)"
    )
    parser.add_argument(
        "--seed", default=secrets.token_hex(3), help="the same seed, the same order"
    )
    parser.add_argument(
        "--only",
        default="",
        help="make only disturbances whose names contain this text",
    )
    options = parser.parse_args()
    # On SIGTERM too, end the processes that were started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="beam-stress-"))
    run = Run(folder, options.seconds, options.seed, say, options.only)
    report = asyncio.run(run.go())
    say("\n" + report.table() + "\n")
    if not report.broken:
        shutil.rmtree(folder)
        say("All promises were kept.")
        return 0
    say(f"{len(report.broken)} promises were broken. The first ones:")
    for text in report.broken[:30]:
        say(f"  {text}")
    say(f"Logs of the server processes: {folder}")
    say(
        f"To repeat this run: make stress SECONDS={report.seconds:g} SEED={report.seed}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
