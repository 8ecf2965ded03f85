"""Lists of recipients become labels."""

from __future__ import annotations

from typing import Any

import pytest

from rooms.protocol.recipients import labels


def test_each_recipient_is_named_once_in_order() -> None:
    entries = [{"user_id": "b"}, {"session": "a:1"}, {"userId": "b"}] * 100

    assert labels(entries, 2) == ("user:b", "session:a:1")


def test_more_recipients_than_allowed_are_refused() -> None:
    entries = [{"user_id": f"u{n}"} for n in range(11)]

    assert len(labels(entries[:10], 10)) == 10
    with pytest.raises(ValueError, match="must name at most 10 recipients, not 11"):
        labels(entries, 10)


@pytest.mark.parametrize(
    "entry",
    [
        {"user_id": True},
        {"user_id": 1.5},
        {"user_id": None},
        {"user_id": ["a"]},
        {"session": 7},
        {"session": True},
        {"session": None, "user_id": "a"},
        {},
        [],
        "a:1",
        7,
        None,
    ],
)
def test_an_entry_without_a_recipient_is_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match="an entry must have session"):
        labels([{"user_id": "a"}, entry], 10)


@pytest.mark.parametrize("entries", [None, {}, "a:1", 7, True, ({"user_id": "a"},)])
def test_only_a_list_names_recipients(entries: Any) -> None:
    with pytest.raises(ValueError, match="a list of"):
        labels(entries, 10)
