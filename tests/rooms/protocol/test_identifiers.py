"""Ids of rooms, and their topics."""

from __future__ import annotations

import pytest

from rooms.protocol.identifiers import room_topic


def test_a_room_topic_has_the_rooms_id() -> None:
    assert room_topic("a:b") == "room:a:b"


@pytest.mark.parametrize("room_id", [None, True, b"x", ["a"]])
def test_a_room_id_is_text_or_a_whole_number(room_id: object) -> None:
    with pytest.raises(ValueError, match="text or a whole number"):
        room_topic(room_id)
