"""Owns what a log line looks like, and which request it belongs to.

JSON in production, one object a line; readable in development. Nothing here or
anywhere logs tokens, secrets or what messages say.
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
        if _is_amid_a_request() and (found := request_id.get()):
            record.request_id = found
        return True


def _is_amid_a_request() -> bool:
    """Whether the context is to be believed: that of a task, or of a thread.

    A callback of the loop runs in the context of whoever asked for it. Twisted
    has one timer for everything, and asks for it amid any request.
    """
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return True


REFUSALS: Final = "django.security."
"""Loggers of what Django refuses: whoever likes makes them write."""

UNAVAILABLE: Final = 503
"""Pages with this status are reported by `beam.server.pages`, with the reason."""

QUIET_SECONDS: Final = 10.0
LONGEST_TEXT: Final = 300


class DjangoFilter(logging.Filter):
    """Takes out what Django tells of a request beyond its method and path.

    No query, header or body gets out, be it in a message, a field or the text of
    an exception. A refusal has no traceback, and one line of its kind is enough
    for a while.
    """

    def __init__(self) -> None:
        super().__init__()
        self._floods: dict[str, Flood] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets pass what is not Django's, or not the next of too many."""
        known = vars(record)
        if known.get("status_code") == UNAVAILABLE:
            return False
        if "request" not in known and not record.name.startswith(REFUSALS):
            return True
        # Another handler may have asked.
        if "_is_due" not in known:
            known["_is_due"] = self._cut(record, known.pop("request", None))
        return bool(known["_is_due"])

    def _cut(self, record: logging.LogRecord, request: Any) -> bool:
        """Take out what is not to be told; whether the rest is due."""
        if told := _told(request):
            record.request = told
        if isinstance(record.args, tuple) and record.args:
            record.args = tuple(map(_before_query, record.args))
        else:
            record.msg, record.args = _message(record, told), None
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
    """How many lines of one kind came while none was written."""

    quiet_until: float = 0.0
    missed: int = 0

    def next(self, now: float) -> int | None:
        """How many were missed before this line; None: it is missed too.

        `now`: monotonic.
        """
        if now < self.quiet_until:
            self.missed += 1
            return None
        missed, self.missed = self.missed, 0
        self.quiet_until = now + QUIET_SECONDS
        return missed


def _told(request: Any) -> str:
    """What a line may tell of a request."""
    told = f"{getattr(request, 'method', '')} {getattr(request, 'path', '')}"
    return told.strip()[:LONGEST_TEXT]


def _message(record: logging.LogRecord, told: str) -> str:
    """A message that came in one piece, without what it may quote.

    Django's words for what it refuses may name a field of the query: only a host
    that is not ours is worth it.
    """
    kind = record.name.removeprefix(REFUSALS)
    if kind not in {record.name, "DisallowedHost"}:
        return f"{kind}: {told}" if told else kind
    return str(_before_query(record.msg))


def _before_query(given: object) -> Any:
    """A part of a message; an address in it may be that of the page that led here."""
    is_number = isinstance(given, int | float)
    return given if is_number else str(given).partition("?")[0][:LONGEST_TEXT]


def printable(text: str) -> str:
    """A text of a client for one log line: other characters become escapes.

    A line break would look like a line of its own; half of a surrogate pair cannot
    be written as UTF-8.
    """
    if text.isprintable():
        return text[:LONGEST_TEXT]
    shown = (each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return "".join(shown)[:LONGEST_TEXT]


def safe_traceback(error: BaseException) -> str:
    """A traceback without the texts of exceptions, which may quote anything."""
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
            # A line a request is a line a message.
            "httpx": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            # Django's own handlers would write each line a second time with DEBUG=1.
            "django": {"handlers": [], "level": "INFO"},
            # 4xx answers are the caller's business, not ours.
            "django.request": {"level": "ERROR"},
        },
    }
