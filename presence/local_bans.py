"""Owns the bans of one process, in memory, and when they end."""

from __future__ import annotations

import math
import time
from typing import Final

from presence import admission
from presence.admission import Ban, TooManyBans

# Topics with bans before those whose bans have all ended are removed.
MIN_SWEPT: Final = 1_000


class LocalBans:
    """The bans of all topics, by the process's monotonic clock."""

    def __init__(self) -> None:
        self._bans: dict[str, dict[Ban, float]] = {}
        self._sweep_at = MIN_SWEPT

    def check(self, topic: str, key: str, group: str) -> None:
        """Raises `NotAdmitted` if the topic is closed, or the key or group banned."""
        if (bans := self._bans.get(topic)) is not None:
            admission.check_bans(bans, time.monotonic(), key, group)

    def add(self, topic: str, ban: Ban, seconds: float | None) -> None:
        """Ban for some seconds; without `seconds`, until `remove`.

        Raises `TooManyBans` if the topic has `MAX_BANS` others; closing a topic is
        always possible.
        """
        now = time.monotonic()
        self._sweep(now)
        bans = {b: ends for b, ends in self._bans.get(topic, {}).items() if ends > now}
        is_one_more = ban != admission.EVERYONE and ban not in bans
        if is_one_more and len(bans) >= admission.MAX_BANS:
            raise TooManyBans
        self._bans[topic] = bans | {ban: math.inf if seconds is None else now + seconds}

    def remove(self, topic: str, ban: Ban) -> None:
        """Lift a ban; one that is not there is no error."""
        bans = self._bans.get(topic, {})
        bans.pop(ban, None)
        if not bans:
            self._bans.pop(topic, None)

    def has(self, topic: str, ban: Ban) -> bool:
        """Whether just this ban is in force."""
        return self._bans.get(topic, {}).get(ban, 0.0) > time.monotonic()

    def _sweep(self, now: float) -> None:
        """Remove topics whose bans ended, each time their number has doubled."""
        if len(self._bans) < self._sweep_at:
            return
        for topic, bans in list(self._bans.items()):
            if max(bans.values()) <= now:
                del self._bans[topic]
        self._sweep_at = max(MIN_SWEPT, 2 * len(self._bans))
