"""How often passwords may be tried, by account, address and browser."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from beam.config.conf import conf
from rooms.admin import login_limits as module
from rooms.admin.login_limits import Guesses
from tests.processes import wait_until

PAUSE = conf().login_pause
TRIES = conf().login_attempts


def tries(
    guesses: Guesses, account: str, address: str, browser: str = "", now: float = 100.0
) -> int:
    """How many are allowed at once."""
    count = 0
    while not guesses.ask(account, address, browser, now):
        count += 1
    return count


def test_one_address_tries_an_account_a_few_times_and_then_slowly() -> None:
    guesses = Guesses()

    assert tries(guesses, "root", "1.1.1.1") == TRIES
    assert 0 < guesses.ask("root", "1.1.1.1", "", 100.0) <= PAUSE
    assert tries(guesses, "root", "1.1.1.1", now=100.0 + PAUSE) == 1
    # Somebody else is not concerned.
    assert tries(guesses, "root", "2.2.2.2") == TRIES


def test_one_address_tries_few_accounts() -> None:
    guesses = Guesses()

    found = sum(tries(guesses, f"user{n}", "1.1.1.1") for n in range(50))

    assert found == TRIES * module.PER_ADDRESS


def test_many_addresses_try_an_account_seldom() -> None:
    guesses = Guesses()

    found = sum(tries(guesses, "root", f"1.1.1.{n}") for n in range(200))

    assert found == TRIES * module.PER_ACCOUNT


def test_a_browser_that_is_known_is_not_locked_out_by_others() -> None:
    guesses = Guesses()
    for n in range(200):
        tries(guesses, "root", f"1.1.1.{n}")

    assert guesses.ask("root", "1.1.1.1", "", 100.0) > 0
    assert tries(guesses, "root", "1.1.1.1", "known") == TRIES


def test_a_success_takes_nothing_from_anybody() -> None:
    guesses = Guesses()
    for _ in range(TRIES * module.PER_ACCOUNT * 2):
        assert not guesses.ask("root", "1.1.1.1", "", 100.0)
        guesses.succeeded("root", "1.1.1.1", "", 100.0)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 10)
    guesses = Guesses()

    for n in range(100):
        guesses.ask(f"user{n}", f"1.1.1.{n}", "", 100.0)

    tables = (guesses._sources, guesses._addresses, guesses._accounts)
    assert {len(table) for table in tables} == {10}


def test_few_passwords_are_checked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 20.0)
    guesses = Guesses()
    lock, ended = threading.Lock(), threading.Event()
    now, most, refused = 0, 0, 0

    def check() -> None:
        nonlocal now, most, refused
        with guesses.checking("") as may:
            if not may:
                refused += 1
                # All that may wait do so by now, or were refused.
                if refused == 10 - module.CHECKS - module.WAITING:
                    ended.set()
                return
            with lock:
                now += 1
                most = max(most, now)
            ended.wait(10)
            with lock:
                now -= 1

    threads = [threading.Thread(target=check) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == module.CHECKS
    assert refused == 10 - module.CHECKS - module.WAITING


def test_a_known_browser_does_not_wait_for_the_checks_of_strangers() -> None:
    guesses = Guesses()
    with ExitStack() as held:
        assert held.enter_context(guesses.checking(""))
        strangers = [
            threading.Thread(target=_wait_in, args=(guesses,))
            for _ in range(module.WAITING)
        ]
        for thread in strangers:
            thread.start()
        wait_until(lambda: not _has_place(guesses), "the queue of strangers is full")

        began = time.monotonic()
        with guesses.checking("known") as may:
            assert may
        assert time.monotonic() - began < module.WAIT_SECONDS / 2
    for thread in strangers:
        thread.join()


def _wait_in(guesses: Guesses) -> None:
    with guesses.checking(""):
        pass


def _has_place(guesses: Guesses) -> bool:
    has_place = guesses._strangers._places.acquire(blocking=False)
    if has_place:
        guesses._strangers._places.release()
    return has_place
