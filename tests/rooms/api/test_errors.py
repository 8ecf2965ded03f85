"""How refusals are worded in one line."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.api.errors import MAX_SUMMARY, summary


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"room_id": ["is missing"]}, "room_id: is missing"),
        ({"a": ["Not good.", "second"], "b": ["bad"]}, "a: Not good; b: bad"),
        ({name: ["x"] for name in "abcde"}, "a: x; b: x; c: x"),
        ({"": ["an item is an object"]}, "an item is an object"),
        ({"a": {"0": ["nested"]}}, "a: {'0': ['nested']}"),
        (["not a dict"], "['not a dict']"),
        ({"a": []}, "a: []"),
    ],
)
def test_the_first_reasons_are_in_the_message(fields: Any, line: str) -> None:
    assert summary(fields) == line


def test_a_message_is_bounded() -> None:
    assert len(summary({"a" * 1_000: ["b" * 1_000]})) == MAX_SUMMARY
