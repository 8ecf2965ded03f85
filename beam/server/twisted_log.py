"""Logs errors inside Twisted, autobahn and daphne, one line each.

daphne discards Twisted's log. Only failures are taken from it: the rest is for the
developers of these libraries.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from typing import Any

from twisted.logger import LogLevel, globalLogPublisher

from beam.telemetry import metrics

logger = logging.getLogger(__name__)


def install() -> None:
    """Observe Twisted's log. Idempotent."""
    # Any function can observe; Twisted's types require an interface.
    publisher: Any = globalLogPublisher
    publisher.addObserver(log_failure)


def log_failure(event: Mapping[str, Any]) -> None:
    """Count a failure, and log its type and traceback. Other events are ignored."""
    failure = event.get("log_failure")
    if failure is None or event.get("log_level") is not LogLevel.critical:
        return
    metrics.SERVER_ERRORS.value += 1
    kind = failure.type.__qualname__
    text = "An error inside the server: %s"
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, text, (kind,), None
    )
    # Without the exception's message, which may quote a request.
    lines = traceback.format_tb(failure.getTracebackObject())
    record.exc_text = "".join([*lines, kind])
    logger.handle(record)
