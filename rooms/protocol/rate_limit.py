"""The arithmetic of a rate limit. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RateLimit:
    """A rate with a burst (GCRA, a leaky bucket).

    `rate` is units per second, `burst` units that may come at once. `spend` accepts
    everything and returns how long to wait before the next; `try_spend` refuses
    what comes too soon. `now`: the clock of the caller, in seconds.
    """

    rate: float
    burst: float
    _free_at: float = 0.0

    def spend(self, units: float, now: float) -> float:
        """Count units. Returns the seconds to wait before the next, or 0."""
        self._free_at = max(self._free_at, now) + units / self.rate
        return max(0.0, self._free_at - now - self.burst / self.rate)

    def try_spend(self, units: float, now: float) -> float:
        """Count units if they need not wait. Returns 0, or the seconds to wait."""
        free_at = max(self._free_at, now) + units / self.rate
        wait = max(0.0, free_at - now - self.burst / self.rate)
        if not wait:
            self._free_at = free_at
        return wait
