"""Rate limits: a burst is free, the rest has to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms.protocol.rate_limit import RateLimit


def test_a_burst_is_free_and_what_exceeds_it_waits() -> None:
    rate_limit = RateLimit(rate=10, burst=5)

    waits = [rate_limit.spend(1, now=100.0) for _ in range(7)]

    assert waits == [0, 0, 0, 0, 0, pytest.approx(0.1), pytest.approx(0.2)]


def test_time_pays_off_the_debt_but_saves_no_more_than_a_burst() -> None:
    rate_limit = RateLimit(rate=10, burst=5)
    rate_limit.spend(5, now=0.0)

    assert rate_limit.spend(5, now=1_000.0) == 0
    assert rate_limit.spend(1, now=1_000.0) == pytest.approx(0.1)


Units = st.floats(0.1, 50)
Pauses = st.floats(0, 3)


@given(st.floats(1, 100), st.floats(1, 100), st.lists(st.tuples(Units, Pauses)))
def test_a_caller_that_waits_never_exceeds_rate_and_burst(
    rate: float, burst: float, sent: list[tuple[float, float]]
) -> None:
    rate_limit, now, spent = RateLimit(rate, burst), 0.0, 0.0
    for units, pause in sent:
        assert spent <= burst + rate * now + 1e-6
        spent += units
        now += rate_limit.spend(units, now) + pause


@given(
    st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(1, 5)), min_size=1, max_size=60)
)
def test_never_more_is_accepted_than_burst_and_rate_allow(
    asked: list[tuple[float, int]],
) -> None:
    rate_limit, now, let_in = RateLimit(rate=10.0, burst=20.0), 0.0, 0.0
    for later, units in asked:
        now += later
        if not rate_limit.try_spend(units, now):
            let_in += units
        assert let_in <= 20 + 10 * now + 1e-6


def test_refused_units_are_accepted_after_the_returned_wait() -> None:
    rate_limit = RateLimit(rate=10.0, burst=1.0)
    assert rate_limit.try_spend(1, 0.0) == 0.0
    wait = rate_limit.try_spend(1, 0.0)

    assert 0 < wait <= 0.1
    assert rate_limit.try_spend(1, wait * 0.9) > 0
    assert rate_limit.try_spend(1, wait + 1e-9) == 0.0
