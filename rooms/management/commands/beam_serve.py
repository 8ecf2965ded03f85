"""`manage.py beam_serve`: the server."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    """Serve Beam on daphne until SIGTERM or Ctrl-C, then drain."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--host` and `--port` override the environment."""
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve. Exits with 1 where the address cannot be listened on."""
        # Installs the reactor: nothing may have done so before.
        from beam.server import Server

        from beam.asgi import application  # isort: skip

        server = Server(application, options["host"], options["port"])
        server.run()
        if server.failed:
            sys.exit(1)
