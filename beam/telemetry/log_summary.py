"""Limits log lines that clients cause: above a rate, they are summed up.

If 10,000 clients leave at the same time, the log gets one line per second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from contextlib import suppress
from typing import Any
from weakref import WeakSet


class Tally:
    """The lines of one kind.

    Up to `most` in `seconds` are written. The others are written at the level DEBUG,
    and after `seconds` one line has their number by reason.
    """

    def __init__(
        self,
        logger: logging.Logger,
        summary: str,
        most: int,
        seconds: float = 1.0,
        level: int = logging.INFO,
    ) -> None:
        """`summary`: what the summary counts, such as "connections ended"."""
        self._logger, self._summary, self._level = logger, summary, level
        self._most, self._seconds = most, seconds
        self._missed: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._seen = 0
        self._allowed = most
        _tallies.add(self)

    def log(self, reason: str, text: str, *args: object, **options: Any) -> None:
        """Write a line, or count it. `options`: those of `Logger.log`."""
        now = time.monotonic()
        if now >= self._until:
            self._begin(now)
        self._seen += 1
        if self._seen <= self._allowed:
            self._logger.log(self._level, text, *args, **options)
            return
        self._missed[reason] += 1
        self._logger.debug(text, *args, **options)
        if self._timer is None:
            # Without a loop, the next line or `flush` writes the summary.
            with suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._until - now, self._on_timer)

    def _on_timer(self) -> None:
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        """Begin the next window. After one with too many lines, it writes none."""
        self._write()
        self._allowed = 0 if self._seen > self._most else self._most
        self._seen = 0
        self._until = now + self._seconds

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._missed:
            return
        count, missed = self._missed.total(), dict(self._missed.most_common())
        self._missed.clear()
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in missed.items())
        self._logger.log(
            self._level,
            "%s more %s within %g s: %s",
            f"{count:,}",
            self._summary,
            self._seconds,
            reasons,
            extra={"count": count, "reasons": missed},
        )

    def flush(self) -> None:
        """Write the summary, and begin again."""
        self._write()
        self._until, self._seen = 0.0, 0


_tallies: WeakSet[Tally] = WeakSet()


def flush() -> None:
    """Write the summaries of all kinds."""
    for tally in list(_tallies):
        tally.flush()
