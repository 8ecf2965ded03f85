"""Limits of login attempts by account, address and browser."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from beam.config.conf import conf
from rooms.admin import login_limits as module
from rooms.admin.login_limits import LoginLimits
from tests.processes import wait_until

PAUSE = conf().login_pause
ATTEMPTS = conf().login_attempts


def attempts(
    limits: LoginLimits,
    account: str,
    address: str,
    browser: str = "",
    now: float = 100.0,
) -> int:
    """How many attempts are allowed at once."""
    count = 0
    while not limits.attempt(account, address, browser, now):
        count += 1
    return count


def test_an_address_has_few_attempts_for_an_account_and_then_one_per_pause() -> None:
    limits = LoginLimits()

    assert attempts(limits, "root", "1.1.1.1") == ATTEMPTS
    assert 0 < limits.attempt("root", "1.1.1.1", "", 100.0) <= PAUSE
    assert attempts(limits, "root", "1.1.1.1", now=100.0 + PAUSE) == 1
    # Other addresses are not limited.
    assert attempts(limits, "root", "2.2.2.2") == ATTEMPTS


def test_an_address_has_few_attempts_for_all_accounts_together() -> None:
    limits = LoginLimits()

    found = sum(attempts(limits, f"user{n}", "1.1.1.1") for n in range(50))

    assert found == ATTEMPTS * module.PER_ADDRESS


def test_an_account_has_few_attempts_from_all_addresses_together() -> None:
    limits = LoginLimits()

    found = sum(attempts(limits, "root", f"1.1.1.{n}") for n in range(200))

    assert found == ATTEMPTS * module.PER_ACCOUNT


def test_a_known_browser_is_not_locked_out_by_other_clients() -> None:
    limits = LoginLimits()
    for n in range(200):
        attempts(limits, "root", f"1.1.1.{n}")

    assert limits.attempt("root", "1.1.1.1", "", 100.0) > 0
    assert attempts(limits, "root", "1.1.1.1", "known") == ATTEMPTS


def test_a_successful_login_is_not_counted() -> None:
    limits = LoginLimits()
    for _ in range(ATTEMPTS * module.PER_ACCOUNT * 2):
        assert not limits.attempt("root", "1.1.1.1", "", 100.0)
        limits.succeeded("root", "1.1.1.1", "", 100.0)


def test_the_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 10)
    limits = LoginLimits()

    for n in range(100):
        limits.attempt(f"user{n}", f"1.1.1.{n}", "", 100.0)

    tables = (limits._sources, limits._addresses, limits._accounts)
    assert {len(table) for table in tables} == {10}


def test_few_password_checks_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 20.0)
    limits = LoginLimits()
    lock, ended = threading.Lock(), threading.Event()
    now, most, refused = 0, 0, 0

    def check() -> None:
        nonlocal now, most, refused
        with limits.checking("") as may:
            if not may:
                refused += 1
                # By now all checks that may wait are waiting.
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


def test_a_known_browser_does_not_wait_for_checks_of_unknown_clients() -> None:
    limits = LoginLimits()
    with ExitStack() as held:
        assert held.enter_context(limits.checking(""))
        others = [
            threading.Thread(target=_wait_in, args=(limits,))
            for _ in range(module.WAITING)
        ]
        for thread in others:
            thread.start()
        wait_until(
            lambda: not _has_place(limits), "the queue of unknown clients is full"
        )

        began = time.monotonic()
        with limits.checking("known") as may:
            assert may
        assert time.monotonic() - began < module.WAIT_SECONDS / 2
    for thread in others:
        thread.join()


def _wait_in(limits: LoginLimits) -> None:
    with limits.checking(""):
        pass


def _has_place(limits: LoginLimits) -> bool:
    has_place = limits._unknown._places.acquire(blocking=False)
    if has_place:
        limits._unknown._places.release()
    return has_place
