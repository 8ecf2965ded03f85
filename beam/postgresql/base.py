"""Aborts connections on which PostgreSQL does not answer.

`statement_timeout` is kept by the server: one that is frozen, or whose disk
hangs, does not keep it, while its machine acknowledges every packet. Without a
limit on this side the thread would wait for ever.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

ANSWER_SECONDS: Final = "answer_seconds"
"""The option of `DATABASES`: seconds to wait for an answer; absent: no limit."""

_Answer = TypeVar("_Answer")


class Connection(psycopg.Connection[Any]):
    """A connection that is closed when an answer takes too long."""

    answer_seconds: float | None = None

    def wait(
        self,
        gen: PQGen[_Answer],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> _Answer:
        """The answer. Raises `psycopg.OperationalError` if it does not come in time."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            # A query is still under way: nothing else can be asked here.
            self.close()
            text = f"no answer within {self.answer_seconds:g} s"
            raise psycopg.OperationalError(text) from None


# What Django takes for the driver.
_module = ModuleType(psycopg.__name__)
vars(_module).update(vars(psycopg), connect=Connection.connect)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, with `answer_seconds` among its options."""

    Database = _module

    def get_connection_params(self) -> dict[str, Any]:
        """Without Beam's own option, which libpq does not know."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop(ANSWER_SECONDS, None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A connection with the limit."""
        connection = super().get_new_connection(conn_params)
        if isinstance(connection, Connection):
            options = self.settings_dict["OPTIONS"]
            connection.answer_seconds = options.get(ANSWER_SECONDS)
        return connection
