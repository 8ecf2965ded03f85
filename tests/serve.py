"""`python -m tests.serve PORT`: `manage.py beam_serve` for `tests.processes`.

On SIGUSR1 it prints the number of tasks of its event loop.
"""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from django.core.management import execute_from_command_line


def print_state(*_: Any) -> None:
    """Print the number of tasks, in which a leak would show."""
    from daphne.server import twisted_loop

    tasks = len(asyncio.all_tasks(twisted_loop))
    sys.stderr.write(f"stress state {json.dumps({'tasks': tasks})}\n")
    sys.stderr.flush()


def main() -> None:
    """Serve on the port that the command names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beam.settings")
    signal.signal(signal.SIGUSR1, print_state)
    execute_from_command_line(["manage.py", "beam_serve", "--port", sys.argv[1]])


if __name__ == "__main__":
    main()
