"""Limits login attempts in the admin: how often, and how many at once.

Three rate limits count attempts: per account and source, per address, and per
account from all addresses. A source is an address, or a browser that has logged in
to this account before. Other clients cannot use up the attempts of such a browser,
and its password checks have a queue of their own. Each process counts separately.
Tables are bounded: the least recently used entries are dropped first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from beam.config.conf import conf
from rooms.protocol.rate_limit import RateLimit

MAX_KEPT: Final = 10_000
# Times the setting `login_attempts`, which limits one account from one source.
PER_ADDRESS: Final = 4
PER_ACCOUNT: Final = 10
# Password checks that run at once, checks that may wait, and how long they wait.
# A check keeps a core busy for some tenths of a second.
CHECKS: Final = 1
WAITING: Final = 2
WAIT_SECONDS: Final = 3.0


class Table:
    """A rate limit for each of the `MAX_KEPT` most recently used keys."""

    def __init__(self, factor: int) -> None:
        """`factor`: multiplies the attempts that the settings allow."""
        self._factor = factor
        self._rate_limits: OrderedDict[str, RateLimit] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rate_limits)

    def attempt(self, key: str, now: float) -> float:
        """Count an attempt. Returns 0, or the seconds to wait if it is refused."""
        return self._of(key).try_spend(1, now)

    def uncount(self, key: str, now: float) -> None:
        """Do not count one attempt."""
        self._of(key).spend(-1, now)

    def forget(self, key: str) -> None:
        """Remove the count of a key."""
        self._rate_limits.pop(key, None)

    def _of(self, key: str) -> RateLimit:
        if key not in self._rate_limits:
            burst = conf().login_attempts * self._factor
            rate = self._factor / conf().login_pause
            self._rate_limits[key] = RateLimit(rate, burst)
        self._rate_limits.move_to_end(key)
        if len(self._rate_limits) > MAX_KEPT:
            self._rate_limits.popitem(last=False)
        return self._rate_limits[key]


class Queue:
    """Bounds the password checks that run at once, and those that wait."""

    def __init__(self) -> None:
        self._checks = threading.Semaphore(CHECKS)
        self._places = threading.Semaphore(CHECKS + WAITING)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """See `LoginLimits.checking`."""
        if not self._places.acquire(blocking=False):
            yield False
            return
        try:
            held = self._checks.acquire(timeout=WAIT_SECONDS)
            try:
                yield held
            finally:
                if held:
                    self._checks.release()
        finally:
            self._places.release()


class LoginLimits:
    """The login attempts of this process. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources = Table(1)
        self._addresses = Table(PER_ADDRESS)
        self._accounts = Table(PER_ACCOUNT)
        # Unknown clients cannot delay known browsers.
        self._unknown, self._known = Queue(), Queue()

    def attempt(self, account: str, address: str, browser: str, now: float) -> float:
        """Count an attempt. Returns 0, or the seconds to wait if it is refused.

        `browser`: the id of a browser that has logged in to this account before, else
        empty.
        """
        with self._lock:
            source = _pair(account, browser or address)
            if browser:
                return self._sources.attempt(source, now)
            # In this order, so that one source cannot use up the account's attempts.
            return (
                self._sources.attempt(source, now)
                or self._addresses.attempt(address, now)
                or self._accounts.attempt(account, now)
            )

    def succeeded(self, account: str, address: str, browser: str, now: float) -> None:
        """Reset the source's attempts; do not count this one elsewhere."""
        self.uncount(account, address, browser, now)
        with self._lock:
            self._sources.forget(_pair(account, browser or address))

    def uncount(self, account: str, address: str, browser: str, now: float) -> None:
        """Do not count an attempt in which no wrong password was found."""
        with self._lock:
            self._sources.uncount(_pair(account, browser or address), now)
            if not browser:
                self._addresses.uncount(address, now)
                self._accounts.uncount(account, now)

    def checking(self, browser: str) -> AbstractContextManager[bool]:
        """Wait for a turn to check a password. Yields False if too many wait.

        `browser`: see `attempt`.
        """
        return (self._known if browser else self._unknown).turn()


def _pair(account: str, source: str) -> str:
    return f"{source}\n{account}"


login_limits = LoginLimits()
