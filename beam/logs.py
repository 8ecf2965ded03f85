"""Owns what a log line looks like, and which request it belongs to.

JSON in production, one object a line; readable in development. Nothing here or
anywhere logs tokens, secrets or what messages say.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from pythonjsonlogger.orjson import OrjsonFormatter

HEADER: Final = b"x-request-id"
# A proxy's own id is taken over; what could forge a line is not.
_GOOD: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request that is being answered; empty outside of one."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


def identify(scope: Any, send: Send) -> Send:
    """Name an HTTP request, by its own `X-Request-ID` where it has a good one.

    What the returned `send` sends tells the id back.
    """
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    named = given if _GOOD.fullmatch(given) else secrets.token_hex(8).encode()
    request_id.set(named.decode())

    async def tell(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (HEADER, named)]
            message = message | {"headers": headers}
        await send(message)

    return tell


class RequestFilter(logging.Filter):
    """Puts the request's id on each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything pass."""
        if found := request_id.get():
            record.request_id = found
        return True


class JsonFormatter(OrjsonFormatter):
    """A line as JSON: `time`, `level`, `logger`, `message`, and what else is known."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "traceback",
            },
        )
        self.default_msec_format = "%s.%03dZ"
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.converter = time.gmtime


class LineFormatter(logging.Formatter):
    """A line for people, with the request's id behind it."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name}: {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """See `logging.Formatter`."""
        line = super().formatMessage(record)
        found = getattr(record, "request_id", "")
        return f"{line} (request {found})" if found else line


def config(*, as_json: bool) -> dict[str, Any]:
    """Django's `LOGGING`."""
    formatter = JsonFormatter if as_json else LineFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": RequestFilter}},
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            # A line a request is a line a message.
            "httpx": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            # 4xx answers are the caller's business, not ours.
            "django.request": {"level": "ERROR"},
        },
    }
