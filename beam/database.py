"""Checks whether the database answers and is migrated."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

SECONDS: Final = 2.0
"""Timeout of a check."""
KEPT_SECONDS: Final = 1.0
"""For how long the result of a check is kept."""
NOT_MIGRATED: Final = "not migrated: run manage.py migrate"
# An undefined table or column: codes of PostgreSQL, texts of SQLite.
UNDEFINED: Final = ("42P01", "42703")
UNDEFINED_WORDS: Final = ("no such table", "no such column", "has no column named")


def unapplied() -> list[str]:
    """The migrations that are not applied. Raises `django.db.Error`."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def is_unavailable(error: Exception) -> bool:
    """Whether an error is an outage of the database, not a bad statement."""
    unreachable = isinstance(error, OperationalError | InterfaceError)
    return unreachable or lacks_migrations(error)


def lacks_migrations(error: Exception) -> bool:
    """Whether a statement failed because a table or column is missing."""
    if not isinstance(error, DatabaseError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state in UNDEFINED or any(words in str(error) for words in UNDEFINED_WORDS)


def described(error: Exception) -> str:
    """An error in a few words, without values of the statement."""
    return NOT_MIGRATED if lacks_migrations(error) else type(error).__name__


class Checks:
    """Checks the database, at most once a second.

    Migrations are checked until none is missing; from then on a query is enough.
    """

    def __init__(self, *, is_migrated: bool = False) -> None:
        self._is_migrated = is_migrated
        self._problem: str | None = None
        self._checked_at = -1e9
        self._checking: asyncio.Task[str | None] | None = None

    def _problem_now(self) -> str | None:
        try:
            if self._is_migrated:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            elif unapplied():
                return NOT_MIGRATED
        except DatabaseError as error:
            return type(error).__name__
        self._is_migrated = True
        return None

    async def problem(self) -> str | None:
        """What is wrong, in a few words; None: nothing. Returns within `SECONDS`.

        A slow check continues, and later callers wait for the same one.
        """
        if self._checking is None:
            if time.monotonic() - self._checked_at < KEPT_SECONDS:
                return self._problem
            self._checking = asyncio.create_task(self._check())
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.shield(self._checking)
        except TimeoutError as error:
            return type(error).__name__

    async def _check(self) -> str | None:
        try:
            self._problem = await database_sync_to_async(self._problem_now)()
        finally:
            self._checked_at, self._checking = time.monotonic(), None
        return self._problem


checks = Checks()
