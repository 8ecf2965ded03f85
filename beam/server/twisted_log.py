"""Owns what becomes of errors inside Twisted, autobahn and daphne: a line each.

daphne throws Twisted's log away. What is no failure is for their developers.
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
    """Hear Twisted's log. Idempotent."""
    # Any function is an observer; Twisted's types ask for an interface.
    publisher: Any = globalLogPublisher
    publisher.addObserver(tell)


def tell(event: Mapping[str, Any]) -> None:
    """Count a failure, and log where it was and of what kind."""
    failure = event.get("log_failure")
    if failure is None or event.get("log_level") is not LogLevel.critical:
        return
    metrics.SERVER_ERRORS.value += 1
    kind = failure.type.__qualname__
    told = "An error inside the server: %s"
    record = logger.makeRecord(
        logger.name, logging.ERROR, __file__, 0, told, (kind,), None
    )
    # Without the exception's text, which may quote a request.
    lines = traceback.format_tb(failure.getTracebackObject())
    record.exc_text = "".join([*lines, kind])
    logger.handle(record)
