"""Log lines that clients cause: one line each, for any text of a client."""

from __future__ import annotations

import logging

import pytest

from rooms.monitoring import client_log


@pytest.mark.parametrize(
    ("topic", "shown"),
    [
        ("room:l\nCRITICAL fake", r"room:l\nCRITICAL fake"),
        ("room:\x1b[2J", r"room:\x1b[2J"),
        ("room:\ud83d", r"room:\ud83d"),
        ("room:Küche 部屋", "room:Küche 部屋"),
    ],
)
def test_a_topic_is_written_on_one_line(
    topic: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rooms.monitoring.client_log")

    client_log.join_refused(topic, topic, "unauthorized", "")

    [line] = caplog.records
    assert line.getMessage() == f"Refused {shown} to join {shown}: unauthorized"
    assert vars(line)["topic"] == vars(line)["user"] == shown


def test_a_long_topic_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rooms.monitoring.client_log")

    client_log.join_refused("room:" + "a" * 60_000, "ada", "invalid_room_id", "")

    assert len(caplog.messages[0]) < 400
