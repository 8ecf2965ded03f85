"""A connection that ends in the middle of something leaves nothing behind."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from presence.factory import tracker
from rooms.auth import jwt_tokens, verifier
from rooms.channels.room import RoomChannel
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import connections
from rooms.messaging.hub import Hub
from rooms.messaging.presence_diffs import diffs
from rooms.messaging.subscriptions import Subscriptions
from rooms.protocol.close_codes import Close
from rooms.protocol.event import Event
from rooms.protocol.identifiers import room_topic
from rooms.runtime import Runtime
from tests.clients import Client, connected, until


@pytest.fixture
def room(backend: str, running_hub: Hub) -> str:
    return f"r{secrets.token_hex(4)}"


class Gate:
    """Holds the first call of a coroutine function, at its beginning or its end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
        self._patch = monkeypatch
        self._when = when
        self._reached = asyncio.Event()
        self._open = asyncio.Event()

    def hold(self, place: Any, name: str) -> None:
        """Patch `place.name`: the next call waits."""
        original = getattr(place, name)

        @functools.wraps(original)
        async def held(*args: Any, **kwargs: Any) -> Any:
            if self._reached.is_set():
                return await original(*args, **kwargs)
            if self._when == "before":
                await self._wait()
                return await original(*args, **kwargs)
            found = await original(*args, **kwargs)
            await self._wait()
            return found

        self._patch.setattr(place, name, held)

    async def _wait(self) -> None:
        self._reached.set()
        await self._open.wait()

    async def reached(self) -> None:
        async with asyncio.timeout(5):
            await self._reached.wait()

    def open(self) -> None:
        self._open.set()


@pytest.fixture(params=["before", "after"])
def gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch, request.param)


async def end_by_client(ada: Client) -> None:
    await ada.wire.send_input({"type": "websocket.disconnect", "code": 1006})
    await until(
        lambda: "ada" not in [c.identity.user_id for c in connections().everyone()]
    )


async def end_by_drain(ada: Client) -> None:
    for each in connections().everyone():
        if each.identity.user_id == "ada":
            each.close(Close.RESTART)


ENDS = {"client": end_by_client, "drain": end_by_drain}


@pytest.fixture(params=ENDS)
def end(request: pytest.FixtureRequest) -> Any:
    return ENDS[request.param]


async def join(client: Client, room: str, ref: str = "1", **more: Any) -> None:
    """Send a join, without waiting for the answer."""
    can = more.pop("can", None)
    token = jwt_tokens.mint_room(room, 60, can=can)
    payload = {"room_token": token, "session_id": "1"} | more
    await client.send(ref, ref, room_topic(room), "phx_join", payload)


async def presence_of(bob: Client, room: str) -> dict[str, int]:
    """The presence that bob has after all diffs until now: metas by session."""
    await publisher.published(Event(topic=room_topic(room), name="proof", payload={}))
    seen: dict[str, int] = {}
    while (frame := await bob.get())[3] != "proof":
        if frame[3] == "presence_diff":
            for kind, sign in (("joins", 1), ("leaves", -1)):
                for key, entry in frame[4][kind].items():
                    seen[key] = seen.get(key, 0) + sign * len(entry["metas"])
    return {key: count for key, count in seen.items() if count > 0}


async def assert_nothing_is_left(
    hub: Hub, bob: Client, room: str, caplog: pytest.LogCaptureFixture
) -> None:
    topic = room_topic(room)
    await background_tasks().finish()
    await diffs().flush()
    await background_tasks().finish()
    await hub.finish()
    found = await tracker().list(topic)
    assert list(found.state) == ["bob:1"]
    assert len(await tracker().owners(topic)) == 1
    assert hub.size(topic) == 1
    assert "user:ada" not in hub._topics[topic].by_label
    assert "ada:1" not in await presence_of(bob, room)
    assert [each.identity.user_id for each in connections().everyone()] == ["bob"]
    logged = [
        record.getMessage()
        for record in caplog.records
        # Processes of earlier tests are reaped during this one.
        if record.levelno > logging.INFO and record.name != "presence.cluster"
    ]
    assert logged == []


POINTS: dict[str, Callable[[], tuple[Any, str]]] = {
    "token": lambda: (verifier, "authorize"),
    "closed rooms": lambda: (Runtime, "closed_rooms_known"),
    "track": lambda: (type(tracker()), "track"),
    "joined": lambda: (RoomChannel, "joined"),
}
# For a member whose token does not allow presence.
WATCHING: dict[str, Callable[[], tuple[Any, str]]] = {
    "admit": lambda: (type(tracker()), "admit"),
    "list": lambda: (type(tracker()), "list"),
}


@pytest.mark.parametrize("point", [*POINTS, *WATCHING])
async def test_during_a_join(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    point: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    can = ["push"] if point in WATCHING else None
    gate.hold(*(POINTS | WATCHING)[point]())

    await join(ada, room, can=can)
    await gate.reached()
    await end(ada)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_while_the_layer_subscribes(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    gate.hold(Subscriptions, "_agree")

    await join(ada, room)
    await gate.reached()
    await end(ada)
    gate.open()
    await background_tasks().finish()
    await running_hub.finish()
    await bob.join(room)

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_during_a_second_join(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room)
    joins = 0

    async def count(channel: RoomChannel, payload: Any) -> Any:
        nonlocal joins
        joins += 1

    # The presence of the first is being removed.
    gate.hold(type(tracker()), "untrack")
    gate._patch.setattr(RoomChannel, "join", count)
    await join(ada, room, "2")
    await gate.reached()
    await end(ada)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)
    assert joins == 0


async def test_while_it_takes_over_its_earlier_entry(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings.BEAM = settings.BEAM | {"presence_grace": 30.0}
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room, meta={"n": 1})
    await end_by_client(ada)
    await background_tasks().finish()
    [again] = await connected("ada")
    gate.hold(type(tracker()), "update")

    await join(again, room, meta={"n": 2})
    await gate.reached()
    await end(again)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_during_a_leave(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room)
    gate.hold(type(tracker()), "untrack")

    await ada.send("j", "2", room_topic(room), "phx_leave", {})
    await gate.reached()
    await end(ada)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_during_a_presence_update(
    room: str,
    running_hub: Hub,
    end: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room)
    # Nothing waits after it is done, so its end cannot be held.
    gate = Gate(monkeypatch, "before")
    gate.hold(type(tracker()), "update")

    payload = {"meta": {"n": 2}}
    await ada.send("j", "2", room_topic(room), "presence_update", payload)
    await gate.reached()
    await end(ada)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_while_a_new_token_is_checked(
    room: str,
    running_hub: Hub,
    gate: Gate,
    end: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room)
    gate.hold(verifier, "authorize")
    token = jwt_tokens.mint_room(room, 60, can=["push"])

    await ada.send("j", "2", room_topic(room), "access_token", {"access_token": token})
    await gate.reached()
    await end(ada)
    gate.open()

    await assert_nothing_is_left(running_hub, bob, room, caplog)


async def test_with_a_leave_while_a_message_is_being_published(
    room: str, running_hub: Hub, end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ada, bob = await connected("ada", "bob")
    await bob.join(room)
    await ada.join(room)

    text = json.dumps(["j", "2", room_topic(room), "m", {"broadcast": True}])
    await ada.wire.send_to(text_data=text)
    await ada.send("j", "3", room_topic(room), "phx_leave", {})
    await end(ada)

    await assert_nothing_is_left(running_hub, bob, room, caplog)
