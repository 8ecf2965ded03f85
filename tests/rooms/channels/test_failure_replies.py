"""Clients that fail repeatedly, each time soon: they wait, and others do not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.channels.channel import Channel
from rooms.channels.client_consumer import ClientConsumer
from rooms.messaging.connections import connections
from rooms.messaging.hub import Hub
from tests.clients import Client, connected, until

FREE = 2
REAL = time.monotonic


class Crashing(Channel):
    """Accepts joins, and raises at the first message."""

    async def join(self, payload: Any) -> Any:
        await self.subscribe()

    def receive(self, event: Any, payload: Any, ref: Any) -> None:
        raise RuntimeError("a bug")


@pytest.fixture(autouse=True)
def few(running_hub: Hub, settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {
        "failures_before_delay": FREE,
        "channels": {"crash:*": f"{__name__}.Crashing"},
    }


def delayed(kind: str) -> int:
    """How many handshakes or replies of a kind were delayed."""
    return metrics.DELAYED.reasons[kind]


async def fail(user_id: str = "ada") -> None:
    """Connect, and be closed with 1011."""
    client = await Client(user_id).connect()
    await client.wire.send_to(text_data="no frame")
    assert await client.closed_with() == 1011
    await client.wire.wait(1)


async def test_a_client_whose_connections_fail_waits_before_the_next() -> None:
    before = delayed("connect")
    for _ in range(FREE):
        await fail()

    await fail()
    assert delayed("connect") == before
    began = REAL()
    [ada] = await connected("ada")

    assert delayed("connect") == before + 1
    assert REAL() - began >= 0.09
    assert (await ada.ask("phoenix", "heartbeat", {}))["status"] == "ok"


async def test_other_clients_do_not_wait() -> None:
    for _ in range(FREE + 2):
        await fail()
    before = delayed("connect")

    await connected("bob", "eve")

    assert delayed("connect") == before


async def test_after_a_while_the_client_does_not_wait(
    clock: Callable[[float], None],
) -> None:
    for _ in range(FREE + 1):
        await fail()
    before = delayed("connect")

    clock(31)
    await connected("ada")

    assert delayed("connect") == before


async def test_connections_that_end_in_order_or_late_are_not_failures(
    clock: Callable[[float], None],
) -> None:
    for _ in range(FREE + 2):
        [ada] = await connected("ada")
        await ada.close()
    [late] = await connected("ada")
    clock(11)
    await late.wire.send_to(text_data="no frame")
    assert await late.closed_with() == 1011

    assert len(connections().failing) == 0


async def test_with_the_setting_0_no_client_waits(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"failures_before_delay": 0}
    before = delayed("connect")

    for _ in range(25):
        await fail()

    assert delayed("connect") == before


async def test_a_client_that_disconnects_while_it_waits_is_not_accepted() -> None:
    for _ in range(FREE + 4):
        await fail()
    before, opened = delayed("connect"), metrics.CONNECTED.value
    client = Client("ada")
    await client.wire.send_input({"type": "websocket.connect"})
    await until(lambda: delayed("connect") > before)

    await client.wire.send_input({"type": "websocket.disconnect", "code": 1006})
    await client.wire.wait(1)

    assert await client.wire.receive_nothing()
    assert metrics.CONNECTED.value == opened


async def test_a_client_that_waited_is_refused_by_a_process_that_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(FREE + 1):
        await fail()
    client = Client("ada")
    before = delayed("connect")
    await client.wire.send_input({"type": "websocket.connect"})
    await until(lambda: delayed("connect") > before)

    connections().drain()

    assert (await client.wire.receive_output(1))["type"] == "websocket.close"


BAD_JOINS = {
    "no token": ("room:a", "{}"),
    "half an emoji": ("room:a", '{"meta":"\\ud83d"}'),
    "no room": ("room:", '{"room_token":"x","session_id":"1"}'),
    "no such topic": ("nope", "{}"),
    "too large": ("room:a", json.dumps({"x": "y" * 70_000})),
}


@pytest.mark.parametrize("kind", BAD_JOINS)
async def test_joins_that_are_refused_in_a_row_are_answered_later(kind: str) -> None:
    [ada] = await connected("ada")
    topic, payload = BAD_JOINS[kind]
    before = delayed("join")

    for n in range(FREE + 1):
        text = f'["{n}","{n}","{topic}","phx_join",{payload}]'
        await ada.wire.send_to(text_data=text)
    await ada.send(None, "beat", "phoenix", "heartbeat", {})

    refs = [(await ada.get())[1] for _ in range(FREE + 2)]
    assert refs == [*map(str, range(FREE)), "beat", str(FREE)]
    assert delayed("join") == before + 1


async def test_joins_that_the_server_cannot_accept_are_answered_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [ada] = await connected("ada")
    connections().drain()
    before = delayed("join")

    for _ in range(FREE + 3):
        reply = await ada.try_join("a")
        assert reply["response"]["reason"] == "shutting_down"

    assert delayed("join") == before


async def test_a_channel_that_a_refused_join_replaced_is_closed_at_once() -> None:
    [ada] = await connected("ada")
    await ada.join("r")
    for _ in range(FREE + 1):
        await ada.try_join("other", room_token="bad")
    bad = {"room_token": "bad", "session_id": "1"}
    await ada.send("j2", "refused", "room:r", "phx_join", bad)

    frame = await ada.get()
    while frame[2] != "room:r" or frame[3] == "presence_diff":
        frame = await ada.get()

    # Otherwise a V1 client that joined again before would apply it to that join.
    assert frame[3] == "phx_close"
    assert (await ada.answer("refused"))["status"] == "error"


async def test_the_delayed_replies_of_a_client_are_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rooms.channels.failure_replies.MOST_DELAYED", 2)
    [ada] = await connected("ada")

    for n in range(FREE + 3):
        await ada.send(f"{n}", f"{n}", "nope", "phx_join", {})

    refs = [(await ada.get())[1] for _ in range(FREE + 3)]
    assert refs == ["0", "1", "4", "2", "3"]


async def crash(ada: Client, ref: str) -> None:
    """Join, and let the channel crash."""
    await ada.send(ref, ref, "crash:1", "phx_join", {})
    assert (await ada.get())[4]["status"] == "ok"
    await ada.send(ref, "x", "crash:1", "m", {})


async def test_repeated_crashes_of_a_channel_are_reported_later() -> None:
    [ada] = await connected("ada")
    for n in range(FREE):
        await crash(ada, str(n))
        assert (await ada.get())[3] == "phx_error"

    await crash(ada, "3")
    await ada.send(None, "beat", "phoenix", "heartbeat", {})

    assert (await ada.get())[1] == "beat"
    assert (await ada.get())[:4] == ["3", "3", "crash:1", "phx_error"]


async def test_a_delayed_crash_does_not_reach_a_client_that_joined_again() -> None:
    [ada] = await connected("ada")
    for n in range(FREE):
        await crash(ada, str(n))
        assert (await ada.get())[3] == "phx_error"
    await crash(ada, "3")

    await ada.send("4", "4", "crash:1", "phx_join", {})

    assert (await ada.get())[:4] == ["4", "4", "crash:1", "phx_reply"]
    [connection] = connections().everyone()
    assert isinstance(connection, ClientConsumer)
    failures = connection.channels.failures
    assert failures is not None
    await until(lambda: not failures.delayed)
    assert await ada.is_silent()
