"""The hub, and a mailbox in trouble."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from channels.layers import get_channel_layer

from beam.telemetry import metrics
from rooms.messaging import publisher
from rooms.messaging.hub import Hub, hub
from rooms.protocol.event import Event
from tests.clients import connected


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

    with caplog.at_level(logging.INFO, "rooms.messaging.hub"):
        for n in range(2):
            event = Event(topic="room:r", name="changed", payload={"n": n})
            sent = publisher.publish(event)
            assert sent is not None
            await sent
            assert await ada.event("changed") == {"n": n}

    assert hub().alive
    assert metrics.MAILBOX_ERRORS.value == before + 2
    told = [
        record.message
        for record in caplog.records
        if record.name == "rooms.messaging.hub"
    ]
    assert told == [
        "Cannot read the hub's mailbox: OSError",
        "The hub's mailbox is read again",
    ]


async def test_a_topic_that_raises_costs_the_others_nothing(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("bad")
    await bob.join("good")
    write, before = running_hub._write, metrics.FAN_OUT_FAILED.value

    def raises(topic: Any, batch: Any) -> None:
        if batch[0].topic == "room:bad":
            raise RuntimeError("a bug")
        write(topic, batch)

    monkeypatch.setattr(running_hub, "_write", raises)
    for room in ("bad", "good"):
        event = Event(topic=f"room:{room}", name="changed", payload={})
        running_hub.deliver(event.pack())

    assert await bob.event("changed") == {}
    assert metrics.FAN_OUT_FAILED.value == before + 1
