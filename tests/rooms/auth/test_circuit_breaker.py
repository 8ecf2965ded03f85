"""The circuit breaker opens, and closes again."""

from __future__ import annotations

from rooms.auth.circuit_breaker import CircuitBreaker


def opened() -> CircuitBreaker:
    """A circuit breaker whose service failed three times at 100 s."""
    breaker = CircuitBreaker(failures=3, pause=5)
    for _ in range(3):
        assert breaker.allows(100.0)
        breaker.failed(100.0)
    return breaker


def test_a_few_failures_do_not_open_the_breaker() -> None:
    breaker = CircuitBreaker(failures=3, pause=5)
    breaker.failed(100.0)
    breaker.failed(100.0)
    breaker.succeeded()
    breaker.failed(100.0)

    assert breaker.allows(100.0)


def test_the_breaker_opens_after_enough_failures_in_a_row() -> None:
    breaker = opened()

    assert not breaker.allows(100.0)
    assert not breaker.allows(104.9)


def test_after_the_pause_one_call_tests_the_service() -> None:
    breaker = opened()

    assert [breaker.allows(105.0) for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert all(breaker.allows(105.0) for _ in range(3))


def test_a_failed_test_opens_the_breaker_again() -> None:
    breaker = opened()
    assert breaker.allows(105.0)
    breaker.failed(106.0)

    assert not breaker.allows(110.0)
    assert breaker.allows(111.0)


def test_a_test_that_never_ends_does_not_block_the_next() -> None:
    breaker = opened()
    assert breaker.allows(105.0)

    assert breaker.allows(110.0)
