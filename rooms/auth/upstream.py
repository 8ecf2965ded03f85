"""Owns when a service that is in trouble is left alone: a circuit breaker. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CircuitBreaker:
    """Whether to ask a service, by how it answered of late.

    After `failures` in a row it is not asked for `pause` seconds; then one
    question at a time finds out whether it is back. The clock is the caller's.
    """

    failures: int
    pause: float
    _consecutive: int = 0
    _retry_at: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether to ask now. A yes is to be followed by `succeeded` or `failed`."""
        if self._consecutive < self.failures:
            return True
        if now < self._retry_at:
            return False
        # Whoever comes meanwhile waits for what this one finds out.
        self._retry_at = now + self.pause
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._consecutive = 0

    def failed(self, now: float) -> None:
        """It did not."""
        self._consecutive += 1
        self._retry_at = now + self.pause
