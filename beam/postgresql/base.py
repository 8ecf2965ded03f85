"""Closes connections on which PostgreSQL does not answer.

`statement_timeout` is applied by the server. A frozen server does not apply it, while
its machine acknowledges every packet. Without a limit in this process the thread
would wait without end.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final, TypeVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.abc import PQGen

ANSWER_SECONDS: Final = "answer_seconds"
"""The option in `DATABASES`: seconds to wait for an answer. Default: no limit."""

_Answer = TypeVar("_Answer")


class Connection(psycopg.Connection[Any]):
    """A connection that is closed if an answer takes too long."""

    answer_seconds: float | None = None

    def wait(
        self,
        gen: PQGen[_Answer],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> _Answer:
        """Wait for an answer. Raises `psycopg.OperationalError` after the limit."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.errors._WaitTimeout:
            # The query is still running: no other can be sent on this connection.
            self.close()
            text = f"no answer within {self.answer_seconds:g} s"
            raise psycopg.OperationalError(text) from None


# Django uses it as the driver.
_module = ModuleType(psycopg.__name__)
vars(_module).update(vars(psycopg), connect=Connection.connect)


class DatabaseWrapper(base.DatabaseWrapper):
    """The backend of Django, with the option `answer_seconds`."""

    Database = _module

    def get_connection_params(self) -> dict[str, Any]:
        """Parameters without `answer_seconds`, which libpq does not know."""
        params: dict[str, Any] = super().get_connection_params()
        params.pop(ANSWER_SECONDS, None)
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect, and set the limit."""
        connection = super().get_new_connection(conn_params)
        if isinstance(connection, Connection):
            options = self.settings_dict["OPTIONS"]
            connection.answer_seconds = options.get(ANSWER_SECONDS)
        return connection
