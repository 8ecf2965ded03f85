"""`python -m tests.stress --seconds 60 --seed 1`: see the package."""

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
    """A line of progress."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run and report; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default=secrets.token_hex(3))
    parser.add_argument("--only", default="", help="disturbances with this in the name")
    options = parser.parse_args()
    # SIGTERM also ends all processes that were started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="beam-stress-"))
    run = Run(folder, options.seconds, options.seed, say, options.only)
    report = asyncio.run(run.go())
    say("\n" + report.table() + "\n")
    if not report.broken:
        shutil.rmtree(folder)
        say("Every promise was kept.")
        return 0
    say(f"{len(report.broken)} broken promises; the first:")
    for text in report.broken[:30]:
        say(f"  {text}")
    say(f"The processes' logs are in {folder}.")
    say(f"Again: make stress SECONDS={report.seconds:g} SEED={report.seed}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
