"""The circuit breaker for calls to other services. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CircuitBreaker:
    """Stops calls to a service that fails.

    After `failures` in a row no call is allowed for `pause` seconds; then one
    call at a time tests whether the service answers again. The clock is the caller's.
    """

    failures: int
    pause: float
    _consecutive: int = 0
    _retry_at: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether a call is allowed. If so, report it by `succeeded` or `failed`."""
        if self._consecutive < self.failures:
            return True
        if now < self._retry_at:
            return False
        # No other call until this one has tested the service.
        self._retry_at = now + self.pause
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._consecutive = 0

    def failed(self, now: float) -> None:
        """The service failed."""
        self._consecutive += 1
        self._retry_at = now + self.pause
