"""Runs `manage.py`, and reports errors of the configuration in one line.

Such as a missing variable, or a database that is unreachable or has no tables. Only
bugs show a traceback; `--traceback` always shows it. The exit code is 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

import django
from django.conf import settings
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import connection
from django.db.utils import (
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

SETTINGS: Final = "DJANGO_SETTINGS_MODULE"
# These work with invalid settings, too.
ALWAYS: Final = frozenset({"help", "version", "--help", "-h", "--version"})


class WrongSettings(ImproperlyConfigured):
    """Errors in the settings, one per line."""


NOT_RUNSERVER: Final = (
    "runserver serves no WebSockets: run `python manage.py beam_serve` or `make run`."
)
EXPLAINED: Final = (
    ImproperlyConfigured,
    OperationalError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
# SQLSTATE: undefined table, undefined column.
NO_TABLES: Final = frozenset({"42P01", "42703"})


def main(argv: Sequence[str]) -> None:
    """Run a command. Exits with code 1 for errors of settings or of the database."""
    os.environ.setdefault(SETTINGS, "beam.settings")
    try:
        if "runserver" in argv[1:2]:
            raise WrongSettings(NOT_RUNSERVER)
        if len(argv) > 1 and not ALWAYS & {*argv[1:3]}:
            django.setup()
            refuse_wrong_settings()
        execute_from_command_line([*argv])
    except EXPLAINED as error:
        line = explained(error)
        if line is None or "--traceback" in argv:
            raise
        sys.exit(line)


def refuse_wrong_settings() -> None:
    """Raises `WrongSettings` with a line for each error in `settings.BEAM`."""
    from beam.config.checks import check_settings

    if wrong := [line_of(each) for each in check_settings() if each.is_serious()]:
        raise WrongSettings("\n".join(wrong))


def line_of(check: CheckMessage) -> str:
    """The message and the hint of a system check, in one line."""
    found = f"{str(check.msg).rstrip('.')}."
    return " ".join(f"{found} {check.hint or ''} ({check.id})".split())


def explained(error: BaseException) -> str | None:
    """What is wrong and what to do, one line per error; None for a bug."""
    if isinstance(error, WrongSettings):
        return str(error)
    if isinstance(error, ImproperlyConfigured):
        return " ".join(str(error).split())
    if _lacks_tables(error):
        return (
            f"The database ({database()}) lacks tables or columns of Beam: "
            "run `python manage.py migrate`."
        )
    if isinstance(error, ProgrammingError) and not has_wrong_options(error):
        return None
    return f"{unusable(error)} {_remedy()}"


def has_wrong_options(error: BaseException) -> bool:
    """Whether libpq refused an option of `DATABASE_URL` before it connected.

    Unlike an unreachable database, this needs a correction.
    """
    is_of_libpq = connection.vendor == "postgresql" and connection.connection is None
    return is_of_libpq and isinstance(error, ProgrammingError)


def unusable(error: object) -> str:
    """A line that names the database, and why it cannot be used."""
    # The following lines are advice of libpq.
    reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    return f"The database ({database()}) cannot be used: {reason}."


def _lacks_tables(error: BaseException) -> bool:
    state = getattr(error.__cause__, "sqlstate", None)
    return state in NO_TABLES or str(error).startswith(
        ("no such table", "no such column")
    )


def database() -> str:
    """The database that `DATABASE_URL` names, without user and password."""
    found = settings.DATABASES["default"]
    kind = found["ENGINE"].rpartition(".")[2]
    host, number = found.get("HOST") or "", found.get("PORT") or ""
    at = f" at {host}:{number}".rstrip(":") if host else ""
    return f"{kind} {found['NAME']}{at}"


def _remedy() -> str:
    if "sqlite" in settings.DATABASES["default"]["ENGINE"]:
        return (
            "Its folder must exist, and folder and file must be writable; "
            "DATABASE_URL=sqlite:////PATH/beam.sqlite3 names another file."
        )
    return "Start the database, or correct DATABASE_URL."


def refuse_wrong_file() -> None:
    """Raises `ImproperlyConfigured` for a SQLite file that cannot be written.

    Unlike an unreachable server, this needs a correction.
    """
    name = str(settings.DATABASES["default"]["NAME"])
    is_file = "sqlite" in settings.DATABASES["default"]["ENGINE"] and "/" in name
    if not is_file or name.startswith("file:"):
        return
    file = Path(name)
    if not os.access(file.parent, os.W_OK):
        raise ImproperlyConfigured(f"{unusable('no folder to write in')} {_remedy()}")
    if file.exists() and not (file.is_file() and os.access(file, os.W_OK)):
        raise ImproperlyConfigured(f"{unusable('no file to write to')} {_remedy()}")


@contextmanager
def reported() -> Iterator[None]:
    """Report errors of the settings in one line if another server imports Beam.

    The exception is raised unchanged: some servers handle it themselves.
    """
    try:
        yield
    except ImproperlyConfigured:
        sys.excepthook = _report
        raise


def _report(
    kind: type[BaseException], error: BaseException, at: TracebackType | None
) -> None:
    line = explained(error) if issubclass(kind, EXPLAINED) else None
    if line is None:
        sys.__excepthook__(kind, error, at)
    else:
        sys.stderr.write(f"{line}\n")
