"""A mailbox whose channel layer fails."""

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
            raise OSError("unavailable")
        return await receive(channel)

    monkeypatch.setattr(layer, "receive", fails_twice)
    before = metrics.MAILBOX_ERRORS.value
    [ada] = await connected("ada")
    await ada.join("r")

    with caplog.at_level(logging.INFO, "rooms.messaging.hub_mailbox"):
        for n in range(2):
            event = Event(topic="room:r", name="changed", payload={"n": n})
            sent = publisher.publish(event)
            assert sent is not None
            await sent
            assert await ada.event("changed") == {"n": n}

    assert hub().is_alive
    assert metrics.MAILBOX_ERRORS.value == before + 2
    logged = [
        record.message
        for record in caplog.records
        if record.name == "rooms.messaging.hub_mailbox"
    ]
    assert logged == [
        "Cannot read the hub's mailbox: OSError",
        "The hub's mailbox can be read again",
    ]
