"""Which channel serves a topic."""

from __future__ import annotations

import pytest

from rooms.channels.channel import Channel
from rooms.channels.router import Patterns


class One(Channel):
    """For patterns."""


class Two(Channel):
    """For patterns."""


@pytest.mark.parametrize(
    ("topic", "found"),
    [("a:", One), ("a:b", One), ("a", None), ("plain", Two), ("plainx", None)],
)
def test_a_pattern_is_exact_or_a_prefix(topic: str, found: type | None) -> None:
    assert Patterns({"a:*": One, "plain": Two}).find(topic) is found


def test_the_first_pattern_wins() -> None:
    assert Patterns({"a:*": One, "a:b*": Two}).find("a:bc") is One
