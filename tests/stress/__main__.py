"""`python -m tests.stress --seconds 60 --seed 1`: see the package."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
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
    """Run and report; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default=secrets.token_hex(3))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beam-stress-") as folder:
        run = Run(Path(folder), options.seconds, options.seed, say)
        report = asyncio.run(run.go())
        logs = {path.name: path.read_text() for path in Path(folder).glob("*.log")}
    say("\n" + report.table() + "\n")
    if not report.broken:
        say("Every promise was kept.")
        return 0
    for name, text in logs.items():
        say(f"--- {name}, its end\n" + "\n".join(text.splitlines()[-40:]))
    say(f"{len(report.broken)} broken promises; the first:")
    for text in report.broken[:30]:
        say(f"  {text}")
    say(f"Again: make stress SECONDS={report.seconds:g} SEED={report.seed}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
