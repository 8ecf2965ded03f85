"""Sums of the reports of many processes, and how a page continues them."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rooms.admin.time_series import (
    RECENT,
    SILENT_INTERVALS,
    SUMMED,
    interval_of,
    recent,
    sums,
)

SECONDS = 5.0
FIRST = 1_000
LAST = FIRST + 12


def point(
    process: str, interval: int, value: float, late: float = 0.0
) -> dict[str, Any]:
    """A report of a process in an interval, with one value for all numbers."""
    numbers = dict.fromkeys(SUMMED, value)
    return {"process": process, "at": interval * SECONDS + late, **numbers}


# At most one report per process and interval; some are missing.
values = st.decimals(0, 10_000, places=2).map(float)
keys = st.tuples(st.sampled_from("abcde"), st.integers(FIRST, LAST - 1))
histories = st.dictionaries(keys, st.tuples(values, st.floats(0, 4.9))).map(
    lambda known: sorted(
        (point(*key, *value) for key, value in known.items()), key=lambda one: one["at"]
    )
)


def lines(points: list[dict[str, Any]], until: int = LAST) -> dict[int, float]:
    """One of the sums per interval: all sums are equal."""
    return {row["step"]: row["members"] for row in sums(points, until, SECONDS)}


def counting(points: list[dict[str, Any]], interval: int) -> list[float]:
    """What each process adds to an interval: its last value, until it has ended."""
    last: dict[str, dict[str, Any]] = {}
    for one in points:
        if interval - SILENT_INTERVALS <= interval_of(one["at"], SECONDS) <= interval:
            last[one["process"]] = one
    return [one["members"] for one in last.values()]


@given(histories)
def test_a_sum_adds_the_last_point_of_each_running_process(
    points: list[dict[str, Any]],
) -> None:
    expected = {interval: counting(points, interval) for interval in range(FIRST, LAST)}

    assert lines(points) == {
        interval: round(sum(each), 2) for interval, each in expected.items() if each
    }


@given(histories)
def test_sums_of_parts_add_up_to_the_sum(points: list[dict[str, Any]]) -> None:
    some = lines([one for one in points if one["process"] in "ab"])
    others = lines([one for one in points if one["process"] not in "ab"])

    assert lines(points) == {
        interval: round(some.get(interval, 0) + others.get(interval, 0), 2)
        for interval in {*some, *others}
    }


@given(histories, st.integers(LAST - 2, LAST - 1))
def test_a_page_continues_the_sums_as_if_it_had_all_reports(
    points: list[dict[str, Any]], following: int
) -> None:
    past = lines(points, following)
    rest = lines(list(map(dict, recent(points, following, SECONDS))))

    later = {
        interval: value for interval, value in rest.items() if interval >= following
    }
    assert past | later == lines(points)


def test_a_process_of_another_version_counts_with_the_numbers_it_reports() -> None:
    report = {"process": "old", "at": FIRST * SECONDS, "members": 3}

    [row] = sums([report, point("new", FIRST, 1)], FIRST + 1, SECONDS)

    assert (row["members"], row["joins"]) == (4, 1)


def test_the_size_of_the_sums_does_not_depend_on_the_number_of_processes() -> None:
    points = [
        point(f"p{n}", interval, 98_765.43)
        for interval in range(180)
        for n in range(100)
    ]

    past = sums(points, 180, SECONDS)

    assert len(past) == 180
    assert len(orjson.dumps(past)) < 32_768
    assert len(recent(points, 179, SECONDS)) == RECENT * 100


def test_no_reports_give_no_sums() -> None:
    assert sums([], LAST, SECONDS) == []
    assert recent([], LAST, SECONDS) == []
