"""The names of JSON types in messages."""

from __future__ import annotations

import pytest

from rooms.protocol.json_types import json_type, not_an_object


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number with a fraction"),
        ("", "text"),
        ([], "a list"),
        ({}, "an object"),
        (b"", "a value of another type"),
    ],
)
def test_types_have_the_names_of_json(value: object, name: str) -> None:
    assert json_type(value) == name


def test_only_an_empty_list_hints_at_php() -> None:
    assert not_an_object("x", 5) == "x must be an object, not a number"
    assert "PHP" in not_an_object("x", [])
    assert not_an_object("x", [1]) == "x must be an object, not a list"


def test_json_in_a_text_is_recognised() -> None:
    assert "encoded twice" in not_an_object("x", '{"a": 1}')
    assert not_an_object("x", "a") == "x must be an object, not text"
