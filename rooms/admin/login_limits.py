"""Limits how often passwords of the admin may be tried, and how many at once.

Three paces count tries: of an account from one source, of one address, of an
account from everywhere. A source is an address, or a browser that logged in to
this account before: nobody else can use up what such a browser may try, and its
passwords wait in a queue of their own. Each process counts for itself. Tables are
bounded: the oldest entries go first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from beam.config.conf import conf
from rooms.protocol.rate_limit import Pace

MAX_KEPT: Final = 10_000
# For the tries of an account from one source, which a setting gives.
PER_ADDRESS: Final = 4
PER_ACCOUNT: Final = 10
# Passwords that are checked at once, those that may wait for it, and for how long.
# A check takes a core for some tenths of a second.
CHECKS: Final = 1
WAITING: Final = 2
WAIT_SECONDS: Final = 3.0


class Table:
    """A pace for each of the keys that were used last."""

    def __init__(self, factor: int) -> None:
        """`factor`: how many times the setting's tries."""
        self._factor = factor
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def __len__(self) -> int:
        return len(self._paces)

    def ask(self, key: str, now: float) -> float:
        """Account for a try; seconds to wait if there may be none now."""
        return self._of(key).ask(1, now)

    def give_back(self, key: str, now: float) -> None:
        """One try less."""
        self._of(key).spend(-1, now)

    def forget(self, key: str) -> None:
        """Start again."""
        self._paces.pop(key, None)

    def _of(self, key: str) -> Pace:
        if key not in self._paces:
            burst = conf().login_attempts * self._factor
            rate = self._factor / conf().login_pause
            self._paces[key] = Pace(rate, burst)
        self._paces.move_to_end(key)
        if len(self._paces) > MAX_KEPT:
            self._paces.popitem(last=False)
        return self._paces[key]


class Queue:
    """Passwords that wait for their check: few at once, and few that wait."""

    def __init__(self) -> None:
        self._checks = threading.Semaphore(CHECKS)
        self._places = threading.Semaphore(CHECKS + WAITING)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """See `Guesses.checking`."""
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


class Guesses:
    """The tries of this process. Used by the threads of pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources = Table(1)
        self._addresses = Table(PER_ADDRESS)
        self._accounts = Table(PER_ACCOUNT)
        # Strangers cannot take the place of browsers that are known.
        self._strangers, self._known = Queue(), Queue()

    def ask(self, account: str, address: str, browser: str, now: float) -> float:
        """Account for a try; seconds to wait if there may be none now.

        `browser`: the id of one that logged in to this account before, or empty.
        """
        with self._lock:
            source = _pair(account, browser or address)
            if browser:
                return self._sources.ask(source, now)
            # In this order: one source cannot use up what the account may have.
            return (
                self._sources.ask(source, now)
                or self._addresses.ask(address, now)
                or self._accounts.ask(account, now)
            )

    def succeeded(self, account: str, address: str, browser: str, now: float) -> None:
        """Forget the tries of this source, and this one for the others."""
        self.give_back(account, address, browser, now)
        with self._lock:
            self._sources.forget(_pair(account, browser or address))

    def give_back(self, account: str, address: str, browser: str, now: float) -> None:
        """A try that was allowed does not count: no wrong password was found."""
        with self._lock:
            self._sources.give_back(_pair(account, browser or address), now)
            if not browser:
                self._addresses.give_back(address, now)
                self._accounts.give_back(account, now)

    def checking(self, browser: str) -> AbstractContextManager[bool]:
        """Hold the right to check a password; False if too many wait for it.

        `browser`: as for `ask`.
        """
        return (self._known if browser else self._strangers).turn()


def _pair(account: str, source: str) -> str:
    return f"{source}\n{account}"


guesses = Guesses()
