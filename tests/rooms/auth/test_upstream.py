"""A service in trouble is left alone, and found again."""

from __future__ import annotations

from rooms.auth.upstream import Circuit


def broken() -> Circuit:
    """A circuit whose service failed three times at 100 s."""
    circuit = Circuit(failures=3, pause=5)
    for _ in range(3):
        assert circuit.may_ask(100.0)
        circuit.bad(100.0)
    return circuit


def test_a_few_failures_are_borne() -> None:
    circuit = Circuit(failures=3, pause=5)
    circuit.bad(100.0)
    circuit.bad(100.0)
    circuit.good()
    circuit.bad(100.0)

    assert circuit.may_ask(100.0)


def test_after_many_in_a_row_it_is_left_alone() -> None:
    circuit = broken()

    assert not circuit.may_ask(100.0)
    assert not circuit.may_ask(104.9)


def test_then_one_finds_out_whether_it_is_back() -> None:
    circuit = broken()

    assert [circuit.may_ask(105.0) for _ in range(3)] == [True, False, False]
    circuit.good()
    assert all(circuit.may_ask(105.0) for _ in range(3))


def test_one_more_failure_is_enough_to_leave_it_alone_again() -> None:
    circuit = broken()
    assert circuit.may_ask(105.0)
    circuit.bad(106.0)

    assert not circuit.may_ask(110.0)
    assert circuit.may_ask(111.0)


def test_a_question_that_was_never_answered_is_no_lock() -> None:
    circuit = broken()
    assert circuit.may_ask(105.0)

    assert circuit.may_ask(110.0)
