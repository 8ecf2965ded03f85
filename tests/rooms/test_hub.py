"""The hub: a mailbox in trouble, and what topics know of presence changes."""

from __future__ import annotations

import logging
from typing import Any

import hypothesis.strategies as st
import pytest
from channels.layers import get_channel_layer
from hypothesis import given

from beam import metrics
from rooms import relay
from rooms.event import Event
from rooms.hub import Hub, Topic, hub
from tests.clients import connected


def test_nothing_is_followed_until_a_state_is_known() -> None:
    topic = Topic()
    topic.saw(7)

    assert (topic.known, topic.latest) == (None, 7)

    topic.knows(6)
    assert (topic.known, topic.ahead) == (7, set())


def test_a_hole_stays_until_it_is_filled() -> None:
    topic = Topic()
    topic.knows(5)
    for version in (6, 8, 9):
        topic.saw(version)

    assert (topic.known, topic.latest) == (6, 9)
    topic.saw(7)
    assert (topic.known, topic.latest) == (9, 9)


def test_a_member_that_comes_does_not_fill_the_hole_of_the_others() -> None:
    topic = Topic()
    topic.knows(5)
    topic.saw(7)

    topic.knows(7)

    assert topic.known == 5


def test_a_fresh_state_fills_every_hole() -> None:
    topic = Topic()
    topic.knows(5)
    for version in (7, 9, 10):
        topic.saw(version)

    topic.restarts(8)

    assert (topic.known, topic.latest) == (10, 10)


def test_after_a_loss_versions_may_begin_anew() -> None:
    topic = Topic()
    topic.knows(500)

    topic.restarts(3)
    topic.saw(4)

    assert (topic.known, topic.latest) == (4, 4)


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_in_any_order_all_changes_are_known_in_the_end(
    order: list[int], state: int
) -> None:
    topic = Topic()
    topic.knows(state)
    for version in order:
        topic.saw(version)
        assert topic.known is not None
        assert topic.known + 1 not in topic.ahead

    assert (topic.known, topic.latest) == (8, 8)


@pytest.mark.parametrize("backend", ["stock in process"], indirect=True)
async def test_a_mailbox_that_cannot_be_read_is_read_again(
    backend: str,
    running_hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    layer: Any = get_channel_layer()
    receive, failures = layer.receive, iter(range(2))

    async def fails_twice(channel: str) -> Any:
        if next(failures, None) is not None:
            raise OSError("away")
        return await receive(channel)

    monkeypatch.setattr(layer, "receive", fails_twice)
    before = metrics.MAILBOX_ERRORS.value
    [ada] = await connected("ada")
    await ada.join("r")

    with caplog.at_level(logging.INFO, "rooms.hub"):
        for n in range(2):
            event = Event(topic="room:r", name="changed", payload={"n": n})
            sent = relay.publish(event)
            assert sent is not None
            await sent
            assert await ada.event("changed") == {"n": n}

    assert hub().alive
    assert metrics.MAILBOX_ERRORS.value == before + 2
    told = [record.message for record in caplog.records if record.name == "rooms.hub"]
    assert told == [
        "Cannot read the hub's mailbox: OSError('away')",
        "The hub's mailbox is read again",
    ]
