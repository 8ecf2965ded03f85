"""Owns when a service that is in trouble is left alone: a circuit breaker. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Circuit:
    """Whether to ask a service, by how it answered of late.

    After `failures` in a row it is not asked for `pause` seconds; then one
    question at a time finds out whether it is back. The clock is the caller's.
    """

    failures: int
    pause: float
    _failed: int = 0
    _ask_at: float = 0.0

    def may_ask(self, now: float) -> bool:
        """Whether to ask now. A yes is to be followed by `good` or `bad`."""
        if self._failed < self.failures:
            return True
        if now < self._ask_at:
            return False
        # Whoever comes meanwhile waits for what this one finds out.
        self._ask_at = now + self.pause
        return True

    def good(self) -> None:
        """It answered."""
        self._failed = 0

    def bad(self, now: float) -> None:
        """It did not."""
        self._failed += 1
        self._ask_at = now + self.pause
