"""Owns how large the body of a request may be, whoever asks and for whatever.

The views have limits of their own, and tell them to those who may call. This one
is for everybody: what is above is refused before it is read.
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

The views answer bodies a little above their limits themselves: they know the
limit of what was asked for, and leave the connection open.
"""


class TooLarge(Exception):
    """The body is larger than anything that is ever taken."""


def limit() -> int:
    """How many bytes a body may have."""
    return max(conf().max_message_bytes, conf().max_batch_bytes) + SLACK


def check_length(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises `TooLarge` where the length that a request names is over the limit."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit():
            raise TooLarge


def refuse() -> bytes:
    """Count a refusal; what is answered with 413, as JSON."""
    metrics.BODIES_REFUSED.value += 1
    message = f"a body has at most {limit()} bytes"
    return orjson.dumps({"error": {"code": ErrorCode.TOO_LARGE, "message": message}})
