"""`manage.py beam_serve`: run the server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection

from beam import database, redis
from beam.config import command_line, environment
from beam.config.conf import conf
from beam.redis import startup_check
from rooms.monitoring.host_stats import host_processes
from rooms.monitoring.process_stats import supervised

logger = logging.getLogger(__name__)

MOST_PROCESSES = 1_024


def _inherited(text: str) -> tuple[int, int]:
    listening, control = map(int, text.split(","))
    return listening, control


class Command(BaseCommand):
    """Runs the server, or a supervisor with several of them."""

    help = "Run the server. SIGTERM or Ctrl-C closes all connections and stops it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """`--host` and `--port` override `HOST` and `PORT`."""
        parser.add_argument(
            "--host", default=settings.HOST, help="default: HOST, now %(default)s"
        )
        # `handle` checks it, to report an error in one line.
        parser.add_argument(
            "--port", default=settings.PORT, help="default: PORT, now %(default)s"
        )
        parser.add_argument(
            "--processes",
            default=1,
            metavar="N",
            help="number of server processes that share the port; above 1 they need "
            "REDIS_URL. Default: %(default)s",
        )
        # From the supervisor to its processes: the number of the process, how many
        # there are, the folder of their statistics, and two file descriptors.
        parser.add_argument("--number", type=int, default=1, help=argparse.SUPPRESS)
        parser.add_argument("--of", type=int, default=1, help=argparse.SUPPRESS)
        parser.add_argument("--shared", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--inherit", type=_inherited, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve. Exits with code 1 if it cannot listen or cannot reach Redis."""
        host, port, processes = _place(options)
        if processes > 1:
            _require_redis_url(processes)
        if options["inherit"] is None and settings.REDIS_URL:
            _reach_redis()
        command_line.refuse_wrong_file()
        _check_database(is_first=options["inherit"] is None)
        if processes > 1:
            self._supervise(processes, host, port)
            return
        if options["shared"] is not None:
            host_processes.join(options["shared"], options["number"])
            supervised.record(options["of"])
        # It installs the Twisted reactor: no import before it may do so.
        from beam.server.daphne import Server

        from beam.asgi import application  # isort: skip

        server = Server(application, host, port, options["inherit"])
        server.run()
        if server.failed:
            sys.exit(1)

    @staticmethod
    def _supervise(processes: int, host: str, port: int) -> None:
        from beam.server.supervisor import supervise

        sys.exit(supervise(processes, host, port))


def _place(options: dict[str, Any]) -> tuple[str, int, int]:
    """Where to listen, and with how many processes. Raises `ImproperlyConfigured`."""
    count = str(options["processes"])
    return (
        options["host"],
        environment.port(str(options["port"]), "--port"),
        environment.whole(count, "--processes", 1, MOST_PROCESSES),
    )


def _require_redis_url(processes: int) -> None:
    if not settings.REDIS_URL:
        raise CommandError(
            f"--processes {processes} needs REDIS_URL: without Redis, members of a "
            "room on different processes would not receive each other's messages. "
            "Set REDIS_URL=redis://HOST:6379/0, or use one process."
        )


def _reach_redis() -> None:
    """Raises `CommandError` if Redis does not answer. Not for restarted processes."""
    try:
        asyncio.run(startup_check.reach(conf().redis_start_timeout))
    except redis.Unreachable as error:
        raise CommandError(str(error)) from None


def _check_database(*, is_first: bool) -> None:
    """Check that the database is migrated. An unreachable one is only logged.

    Only the admin, API keys and the closing of rooms need the database, and `/readyz`
    reports it. `is_first`: False in a process of a supervisor, which has logged it.
    Raises `CommandError`, and `ProgrammingError` for unknown options in
    `DATABASE_URL`.
    """
    try:
        missing = database.unapplied()
    except DatabaseError as error:
        if command_line.has_wrong_options(error):
            raise
        if is_first:
            text = (
                "%s Start it, or correct DATABASE_URL. Beam serves without it; /readyz "
                "is 503 until it answers."
            )
            logger.warning(text, command_line.unusable(error))
        return
    finally:
        connection.close()
    if missing:
        raise CommandError(
            f"The database is not migrated ({len(missing)} migrations are missing, "
            f"the first is {missing[0]}): run manage.py migrate."
        )
