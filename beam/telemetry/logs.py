"""The format of log lines, and the id of the request that a line belongs to.

JSON in production, one object per line; text in development. No line of Beam contains
tokens, secrets or payloads.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from pythonjsonlogger.orjson import OrjsonFormatter

HEADER: Final = b"x-request-id"
# An id of a proxy is accepted, unless it could forge a line.
_GOOD: Final = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the current request; empty outside of requests."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


def identify(scope: Any, send: Send) -> Send:
    """Set the id of an HTTP request: its `X-Request-ID` if valid, else a new one.

    The returned `send` adds the id to the response.
    """
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    used = given if _GOOD.fullmatch(given) else secrets.token_hex(8).encode()
    request_id.set(used.decode())

    async def send_with_id(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (HEADER, used)]
            message = message | {"headers": headers}
        await send(message)

    return send_with_id


class RequestFilter(logging.Filter):
    """Adds the id of the request to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        if _is_in_request() and (found := request_id.get()):
            record.request_id = found
        return True


def _is_in_request() -> bool:
    """Whether the context is that of a task or a thread, not of a callback.

    A callback of the loop runs in the context in which it was scheduled. Twisted
    schedules its only timer in the context of any request.
    """
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return True


REFUSALS: Final = "django.security."
"""Loggers of requests that Django refuses: any client can cause their lines."""

UNAVAILABLE: Final = 503
"""`beam.server.page_handler` logs pages with this status, with the reason."""

QUIET_SECONDS: Final = 10.0
LONGEST_TEXT: Final = 300


class DjangoFilter(logging.Filter):
    """Removes everything of a request but its method and path from Django's lines.

    No query, header or body is logged: in no message, field or text of an exception.
    Refusals have no traceback, and one line of each kind is logged in
    `QUIET_SECONDS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._floods: dict[str, Flood] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a refusal too many, and for pages that are logged elsewhere."""
        known = vars(record)
        if known.get("status_code") == UNAVAILABLE:
            return False
        if "request" not in known and not record.name.startswith(REFUSALS):
            return True
        # Another handler may have called it before.
        if "_is_due" not in known:
            known["_is_due"] = self._cut(record, known.pop("request", None))
        return bool(known["_is_due"])

    def _cut(self, record: logging.LogRecord, request: Any) -> bool:
        """Remove what must not be logged. Whether the line is due."""
        if line := _request_line(request):
            record.request = line
        if isinstance(record.args, tuple) and record.args:
            record.args = tuple(map(_before_query, record.args))
        else:
            record.msg, record.args = _message(record, line), None
        error = record.exc_info[1] if record.exc_info else None
        record.exc_info, record.exc_text = None, None
        if record.name.startswith(REFUSALS):
            return self._is_line_due(record)
        if error is not None:
            record.exc_text = safe_traceback(error)
        return True

    def _is_line_due(self, record: logging.LogRecord) -> bool:
        with self._lock:
            flood = self._floods.setdefault(record.name, Flood())
            missed = flood.next(time.monotonic())
        if missed:
            record.msg = f"{record.msg} (and {missed:,} more before it)"
        return missed is not None


@dataclass(slots=True)
class Flood:
    """Counts lines of one kind that are not written."""

    quiet_until: float = 0.0
    missed: int = 0

    def next(self, now: float) -> int | None:
        """The number of lines left out before this one; None: leave it out, too.

        `now`: monotonic.
        """
        if now < self.quiet_until:
            self.missed += 1
            return None
        missed, self.missed = self.missed, 0
        self.quiet_until = now + QUIET_SECONDS
        return missed


def _request_line(request: Any) -> str:
    """The method and path of a request."""
    line = f"{getattr(request, 'method', '')} {getattr(request, 'path', '')}"
    return line.strip()[:LONGEST_TEXT]


def _message(record: logging.LogRecord, request_line: str) -> str:
    """A message without arguments, and without parts that it may quote.

    Messages of refusals may name a field of the query. Only that of an invalid host
    is kept.
    """
    kind = record.name.removeprefix(REFUSALS)
    if kind not in {record.name, "DisallowedHost"}:
        return f"{kind}: {request_line}" if request_line else kind
    return str(_before_query(record.msg))


def _before_query(given: object) -> Any:
    """A part of a message, without the query of a URL in it."""
    is_number = isinstance(given, int | float)
    return given if is_number else str(given).partition("?")[0][:LONGEST_TEXT]


def printable(text: str) -> str:
    """A text of a client for one log line; characters that do not print are escaped.

    A line break would look like another line; half of a surrogate pair cannot be
    written as UTF-8.
    """
    if text.isprintable():
        return text[:LONGEST_TEXT]
    shown = (each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return "".join(shown)[:LONGEST_TEXT]


def safe_traceback(error: BaseException) -> str:
    """A traceback without the texts of exceptions, which may quote secrets."""
    found: list[str] = []
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        lines = traceback.format_tb(following.__traceback__)
        found.append("".join([*lines, type(following).__qualname__]))
        hidden = following.__suppress_context__
        context = None if hidden else following.__context__
        following = following.__cause__ or context
    return "\n\nand then:\n\n".join(reversed(found))


class JsonFormatter(OrjsonFormatter):
    """A line as JSON: `time`, `level`, `logger`, `message`, and all extra fields."""

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
    """A line as text, with the id of the request at its end."""

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
        "filters": {
            "request": {"()": RequestFilter},
            "django": {"()": DjangoFilter},
        },
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["request", "django"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "INFO"},
        "loggers": {
            # These log one line per request.
            "httpx": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            # With DEBUG=1, handlers of Django would write each line twice.
            "django": {"handlers": [], "level": "INFO"},
            # 4xx responses are mistakes of clients.
            "django.request": {"level": "ERROR"},
        },
    }
