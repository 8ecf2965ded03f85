"""`manage.py beam_serve`: the server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from rooms.figures import supervised
from rooms.siblings import siblings


def _inherited(text: str) -> tuple[int, int]:
    listening, control = map(int, text.split(","))
    return listening, control


class Command(BaseCommand):
    """Serve Beam on daphne until SIGTERM or Ctrl-C, then drain."""

    help = __doc__ or ""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """`--host` and `--port` override the environment."""
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument(
            "--processes",
            type=int,
            default=1,
            metavar="N",
            help="server processes behind one socket; above 1 they need REDIS_URL",
        )
        # What the supervisor hands to its processes: two file descriptors, which
        # of how many one is, and where they tell each other their figures.
        parser.add_argument("--sibling", type=int, default=1, help=argparse.SUPPRESS)
        parser.add_argument("--of", type=int, default=1, help=argparse.SUPPRESS)
        parser.add_argument("--siblings", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--inherit", type=_inherited, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve. Exits with 1 where the address cannot be listened on."""
        processes = options["processes"]
        if processes < 1:
            raise CommandError("--processes is 1 or more.")
        if processes > 1:
            self._supervise(processes, options["host"], options["port"])
            return
        if options["siblings"] is not None:
            siblings.join(options["siblings"], options["sibling"])
            supervised.processes = options["of"]
        # Installs the reactor: nothing may have done so before.
        from beam.server import Server

        from beam.asgi import application  # isort: skip

        server = Server(
            application, options["host"], options["port"], options["inherit"]
        )
        server.run()
        if server.failed:
            sys.exit(1)

    @staticmethod
    def _supervise(processes: int, host: str, port: int) -> None:
        if not settings.REDIS_URL:
            raise CommandError(
                f"--processes {processes} needs REDIS_URL: without Redis the "
                "members of a room could not hear each other across processes. "
                "Set REDIS_URL=redis://HOST:6379/0, or serve with one process."
            )
        from beam.supervisor import supervise

        sys.exit(supervise(processes, host, port))
