"""Decides whether a call is retried, and after which pause."""

from __future__ import annotations

import random
import re
import time
from email.utils import parsedate_to_datetime

import httpx

RETRIED_STATUSES = (429, 502, 503, 504)
"""Beam, or a proxy in front of it, is overloaded or unavailable: a retry may help."""

FIRST_PAUSE = 0.2
MAX_PAUSE = 5.0
# Beam recognizes a repeated request for 300 s. Later it would send the event twice.
MAX_TOTAL_WAIT = 240.0


class RetryBudget:
    """The tries and the waiting time that one call has left."""

    def __init__(self, tries: int, max_wait: float) -> None:
        self._tries = tries
        self._wait = max_wait
        self._back_off = FIRST_PAUSE

    def pause(self, answer: httpx.Response | None) -> float | None:
        """Seconds until the next try; None: no other try. `answer`: None if missing."""
        self._tries -= 1
        if answer is not None and answer.status_code not in RETRIED_STATUSES:
            return None
        pause = retry_after(answer) if answer is not None else None
        if pause is None:
            pause = self._next_back_off()
        if self._tries < 1 or pause > self._wait:
            return None
        self._wait -= pause
        return pause

    def _next_back_off(self) -> float:
        pause = self._back_off
        self._back_off = min(2 * pause, MAX_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def retry_after(answer: httpx.Response) -> float | None:
    """The seconds of the header `Retry-After`; None if it is missing or not valid."""
    header = answer.headers.get("Retry-After", "")
    if re.fullmatch("[0-9]+", header):
        return float(header)
    try:
        # Proxies may send a date instead of seconds.
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
