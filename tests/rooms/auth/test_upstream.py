"""A service in trouble is left alone, and found again."""

from __future__ import annotations

from rooms.auth.upstream import CircuitBreaker


def broken() -> CircuitBreaker:
    """A circuit whose service failed three times at 100 s."""
    circuit = CircuitBreaker(failures=3, pause=5)
    for _ in range(3):
        assert circuit.allows(100.0)
        circuit.failed(100.0)
    return circuit


def test_a_few_failures_do_not_open_the_breaker() -> None:
    circuit = CircuitBreaker(failures=3, pause=5)
    circuit.failed(100.0)
    circuit.failed(100.0)
    circuit.succeeded()
    circuit.failed(100.0)

    assert circuit.allows(100.0)


def test_the_breaker_opens_after_enough_failures_in_a_row() -> None:
    circuit = broken()

    assert not circuit.allows(100.0)
    assert not circuit.allows(104.9)


def test_after_the_pause_one_call_tests_the_service() -> None:
    circuit = broken()

    assert [circuit.allows(105.0) for _ in range(3)] == [True, False, False]
    circuit.succeeded()
    assert all(circuit.allows(105.0) for _ in range(3))


def test_a_failed_test_opens_the_breaker_again() -> None:
    circuit = broken()
    assert circuit.allows(105.0)
    circuit.failed(106.0)

    assert not circuit.allows(110.0)
    assert circuit.allows(111.0)


def test_a_test_that_never_ends_does_not_block_the_next() -> None:
    circuit = broken()
    assert circuit.allows(105.0)

    assert circuit.allows(110.0)
