"""Limits the size of request bodies, for all callers and all paths.

The views have lower limits, which they report to authenticated callers. This limit
is for all: a larger body is refused before it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.api.error_codes import ErrorCode

SLACK: Final = 65_536
"""Bytes above the largest limit of a view.

A view refuses a body that is a little above its limit itself: its answer names the
limit of that view, and the connection stays open.
"""


class TooLarge(Exception):
    """The body is larger than any view accepts."""


def limit() -> int:
    """The largest body, in bytes."""
    return max(conf().max_message_bytes, conf().max_batch_bytes) + SLACK


def check_length(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check a request's `content-length`. Raises `TooLarge` above the limit."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit():
            raise TooLarge


def refuse() -> bytes:
    """Count a refusal; the JSON body of the answer, which is a 413."""
    metrics.BODIES_REFUSED.value += 1
    message = f"a body has at most {limit()} bytes"
    return orjson.dumps({"error": {"code": ErrorCode.TOO_LARGE, "message": message}})
