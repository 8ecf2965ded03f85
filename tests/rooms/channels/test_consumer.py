"""The life of one connection: how it ends, and what the end releases."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from channels.testing import WebsocketCommunicator

from beam.telemetry import metrics
from rooms.auth import jwt_tokens
from rooms.channels.client_consumer import ClientConsumer
from rooms.channels.room import RoomChannel
from rooms.messaging import publisher
from rooms.messaging.connections import connections, disconnect_event
from rooms.messaging.hub import Hub
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")


def join_payload(room_id: str) -> dict[str, str]:
    """The payload of a valid join of a room."""
    return {"room_token": jwt_tokens.mint_room(room_id, 60), "session_id": "1"}


async def test_a_user_is_disconnected_everywhere_with_1001() -> None:
    one, two, bob = await connected("ada", "ada", "bob")
    await asyncio.gather(one.join("gone"), two.join("gone", session_id="2"))
    await bob.join("gone")

    await publisher.published(disconnect_event("ada"))

    assert [await client.closed_with() for client in (one, two)] == [1001, 1001]
    left: set[str] = set()
    while left != {"ada:1", "ada:2"}:
        left |= set((await bob.event("presence_diff"))["leaves"])


async def test_a_connection_that_joined_nothing_is_disconnected_too() -> None:
    [ada] = await connected("ada")

    await publisher.published(disconnect_event("ada"))

    assert await ada.closed_with() == 1001


async def test_a_silent_client_is_closed_with_1002() -> None:
    path = f"/?vsn=2.0.0&user_token={jwt_tokens.mint_user('ada', 60)}"
    app = ClientConsumer.as_asgi(idle_timeout=0.15)
    wire = WebsocketCommunicator(app, path)
    await wire.connect()

    for _ in range(3):
        await asyncio.sleep(0.08)
        await wire.send_to(text_data='[null,"1","phoenix","heartbeat",{}]')
        assert json.loads(await wire.receive_from())[1] == "1"

    message = await wire.receive_output()
    assert (message["type"], message["code"]) == ("websocket.close", 1002)


async def test_a_draining_server_refuses_connections_and_joins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [ada] = await connected("ada")
    connections().drain()

    reply = await ada.try_join("drain")

    assert reply["response"] == {"reason": "shutting_down"}
    assert await Client("bob").is_refused()


async def test_a_channel_that_raises_at_its_end_does_not_affect_others(
    running_hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def terminate(channel: RoomChannel) -> None:
        if channel.topic == "room:b":
            raise RuntimeError("no end")

    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    monkeypatch.setattr(RoomChannel, "terminate", terminate)
    open_before, members_before = len(connections()), running_hub.members
    crashes = metrics.CRASHES.value
    [ada] = await connected("ada")
    for name in "abc":
        await ada.join(name)

    await ada.close()

    assert (len(connections()), running_hub.members) == (open_before, members_before)
    assert metrics.CRASHES.value == crashes + 1
    messages = [record.getMessage() for record in caplog.records]
    assert "RoomChannel crashed" in messages
    assert messages[-1].startswith("Connection of ada ended")


async def test_every_end_releases_what_the_connection_held(running_hub: Hub) -> None:
    before = len(connections())
    [ada] = await connected("ada")
    await ada.join("held")
    assert len(connections()) == before + 1

    await ada.close()

    assert len(connections()) == before
    assert running_hub.size("room:held") == 0
