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


def test_a_few_failures_are_borne() -> None:
    circuit = CircuitBreaker(failures=3, pause=5)
    circuit.failed(100.0)
    circuit.failed(100.0)
    circuit.succeeded()
    circuit.failed(100.0)

    assert circuit.allows(100.0)


def test_after_many_in_a_row_it_is_left_alone() -> None:
    circuit = broken()

    assert not circuit.allows(100.0)
    assert not circuit.allows(104.9)


def test_then_one_finds_out_whether_it_is_back() -> None:
    circuit = broken()

    assert [circuit.allows(105.0) for _ in range(3)] == [True, False, False]
    circuit.succeeded()
    assert all(circuit.allows(105.0) for _ in range(3))


def test_one_more_failure_is_enough_to_leave_it_alone_again() -> None:
    circuit = broken()
    assert circuit.allows(105.0)
    circuit.failed(106.0)

    assert not circuit.allows(110.0)
    assert circuit.allows(111.0)


def test_a_question_that_was_never_answered_is_no_lock() -> None:
    circuit = broken()
    assert circuit.allows(105.0)

    assert circuit.allows(110.0)
