"""Owns how much one connection may ask for: the arithmetic of rates. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
# Characters of a ref that may wait.
LONGEST_REF = 64
LARGEST_REF = 2**63


def refusal_delay(refused: int) -> float:
    """Seconds that the answer to a bad token waits, by how many came in a row.

    The first is answered at once. A client that tries again and again with a
    token that is dead then does no harm.
    """
    if refused < 2:
        return 0.0
    return float(min(FIRST_DELAY * 2 ** min(refused - 2, 16), LONGEST_DELAY))


def is_short(ref: object) -> bool:
    """Whether a ref may wait in memory for a late answer: clients send such ones."""
    if isinstance(ref, str):
        return len(ref) <= LONGEST_REF
    if isinstance(ref, int):
        return -LARGEST_REF < ref < LARGEST_REF
    return ref is None or isinstance(ref, float)


@dataclass(slots=True)
class Pace:
    """A rate with a burst, as a debt that time pays off (GCRA, a leaky bucket).

    `spend` refuses nothing and tells how long to wait before the next; `ask`
    says whether something may come now. `rate`
    is units a second, `burst` units that may come at once. The clock is the
    caller's.
    """

    rate: float
    burst: float
    _free_at: float = 0.0

    def spend(self, units: float, now: float) -> float:
        """Account for something that came; seconds to wait, 0 where none."""
        self._free_at = max(self._free_at, now) + units / self.rate
        return max(0.0, self._free_at - now - self.burst / self.rate)

    def ask(self, units: float, now: float) -> float:
        """Like `spend`, but what would have to wait is not let in, nor accounted."""
        free_at = max(self._free_at, now) + units / self.rate
        wait = max(0.0, free_at - now - self.burst / self.rate)
        if not wait:
            self._free_at = free_at
        return wait
