"""No message or handler of a member delays its removal."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from presence import admission
from presence.factory import tracker
from rooms import moderation
from rooms.auth import jwt_tokens
from rooms.channels.results import Refused
from rooms.channels.room import RoomChannel
from rooms.channels.room_token import MOST_DELAYED
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from rooms.messaging.connections import disconnect_event
from rooms.messaging.hub import Hub, hub
from rooms.protocol.identifiers import room_topic
from rooms.protocol.reasons import Reason
from rooms.protocol.reply_delay import LONGEST_DELAY
from tests.clients import Client, connected, until

ADA = admission.group("ada")


@pytest.fixture
def room(backend: str, running_hub: Hub) -> str:
    return f"r{secrets.token_hex(4)}"


class Slow(RoomChannel):
    """A project's own channel, whose handlers wait until the test ends."""

    intercepts = frozenset({"rewritten"})
    over: asyncio.Event

    async def join(self, payload: Any) -> Any:
        answer = await super().join(payload)
        if payload.get("hang"):
            await self.over.wait()
        if payload.get("refuse"):
            raise Refused(Reason.FORBIDDEN)
        return answer

    def receive(self, event: Any, payload: Any, ref: Any) -> Awaitable[None] | None:
        if event == "hang":
            return self._hang()
        return super().receive(event, payload, ref)

    async def _hang(self) -> None:
        await self.over.wait()


@pytest.fixture
def slow(backend: str, running_hub: Hub, settings: Settings) -> Iterator[None]:
    channels = {"room:*": f"{__name__}.Slow"}
    settings.BEAM = settings.BEAM | {"channels": channels}
    Slow.over = asyncio.Event()
    yield
    Slow.over.set()


async def is_joining(client: Client, room: str) -> None:
    """The client is in presence, and its join hangs."""
    token = jwt_tokens.mint_room(room, 60)
    join = {"room_token": token, "session_id": "1", "hang": True}
    await client.send("j", "1", room_topic(room), "phx_join", join)
    await until_present(room, 1)


async def sessions(room: str) -> list[str]:
    """The sessions that are present."""
    return list((await tracker().list(room_topic(room))).state)


async def until_present(room: str, count: int) -> None:
    """Wait until this many are present."""
    async with asyncio.timeout(5):
        while len(await sessions(room)) != count:  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.01)


async def is_out(client: Client, room: str) -> None:
    """The client was removed: it is not present, and receives nothing more."""
    assert await client.event("beam_removed") == {"reason": "removed"}
    assert await client.event("phx_close") == {}
    await background_tasks().finish()
    assert await sessions(room) == []
    assert hub().size(room_topic(room)) == 0


async def test_delayed_replies_to_bad_tokens_do_not_delay_a_removal(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    for n in range(300):
        bad = {"access_token": "x.y.z"}
        await ada.send("j", str(n), room_topic(room), "access_token", bad)

    removed = await moderation.remove(room, ADA)

    assert removed == ["ada:1"]
    await is_out(ada, room)


@pytest.mark.usefixtures("slow")
async def test_a_handler_that_hangs_does_not_delay_a_removal(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    for event in ("hang", "new_msg", "phx_leave"):
        await ada.send("j", event, room_topic(room), event, {"broadcast": True})

    assert await moderation.remove(room, ADA) == ["ada:1"]

    await is_out(ada, room)


async def test_a_waiting_presence_update_does_not_delay_a_removal(
    room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    asked = asyncio.Event()

    async def update(*args: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(tracker(), "update", update)
    await ada.send("j", "1", room_topic(room), "presence_update", {"meta": {}})
    await asked.wait()

    assert await moderation.remove(room, ADA) == ["ada:1"]

    await is_out(ada, room)


@pytest.mark.usefixtures("slow")
async def test_a_member_that_never_finishes_its_join_leaves_presence(
    room: str,
) -> None:
    [ada] = await connected("ada")
    await is_joining(ada, room)

    assert await moderation.remove(room, ADA) == ["ada:1"]

    await until_present(room, 0)
    Slow.over.set()
    await is_out(ada, room)


@pytest.mark.usefixtures("slow")
async def test_a_user_that_is_disconnected_during_a_join_leaves_presence(
    room: str,
) -> None:
    [ada] = await connected("ada")
    await is_joining(ada, room)

    await publisher.published(disconnect_event("ada"))

    assert await ada.closed_with() == 1001
    await until_present(room, 0)
    assert hub().size(room_topic(room)) == 0


async def test_other_replies_overtake_replies_to_bad_tokens(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    for n in range(4):
        bad = {"access_token": "x.y.z"}
        await ada.send("j", f"bad-{n}", room_topic(room), "access_token", bad)
    good = {"access_token": jwt_tokens.mint_room(room, 60)}
    await ada.send("j", "good", room_topic(room), "access_token", good)

    answers = [(await ada.get())[1] for _ in range(5)]

    assert answers == ["bad-0", "good", "bad-1", "bad-2", "bad-3"]


async def test_few_replies_to_bad_tokens_are_delayed_at_a_time(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    for n in range(MOST_DELAYED + 3):
        bad = {"access_token": "x.y.z"}
        await ada.send("j", str(n), room_topic(room), "access_token", bad)

    refs = {str(n) for n in range(MOST_DELAYED + 1, MOST_DELAYED + 3)}
    replies: dict[str, Any] = {}
    while refs - replies.keys():
        frame = await ada.get()
        replies[frame[1]] = frame[4]["response"]
    assert {replies[ref]["reason"] for ref in refs} == {"rate_limited"}
    assert replies[str(MOST_DELAYED + 2)]["retry_after_ms"] == LONGEST_DELAY * 1_000


@pytest.fixture
def grace(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"presence_grace": 60.0}


@pytest.mark.usefixtures("grace")
async def test_a_member_that_lost_its_connection_is_removed_too(room: str) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join(room)
    await bob.join(room)
    await ada.close()
    await background_tasks().finish()
    assert "ada:1" in await sessions(room)

    assert await moderation.remove(room, ADA) == ["ada:1"]

    assert list((await bob.event("presence_diff"))["leaves"]) == ["ada:1"]
    assert await sessions(room) == ["bob:1"]


@pytest.mark.usefixtures("grace")
async def test_a_member_that_is_blocked_gets_no_grace_period(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)
    # As if the connection was lost just before the removal came.
    await tracker().ban(room_topic(room), ADA, 60)

    await ada.close()

    await background_tasks().finish()
    assert await sessions(room) == []


@pytest.mark.usefixtures("grace")
async def test_a_user_that_is_disconnected_gets_no_grace_period(room: str) -> None:
    [ada] = await connected("ada")
    await ada.join(room)

    await publisher.published(disconnect_event("ada"))

    assert await ada.closed_with() == 1001
    await background_tasks().finish()
    assert await sessions(room) == []


@pytest.mark.parametrize("end", ["refused", "lost"])
async def test_a_join_that_fails_late_publishes_all_its_presence_changes(
    room: str, slow: None, end: str
) -> None:
    ada, bob = await connected("ada", "bob")
    topic = room_topic(room)
    await bob.join(room)

    if end == "refused":
        answer = await ada.try_join(room, refuse=True)
        assert answer["response"] == {"reason": "forbidden"}
    else:
        token = jwt_tokens.mint_room(room, 60)
        join = {"room_token": token, "session_id": "1", "hang": True}
        await ada.send("j", "1", topic, "phx_join", join)
        await until_present(room, 2)
        await ada.close()
    await until_present(room, 1)

    # A missing change would send a new state to all members.
    version = (await tracker().list(topic)).version
    await until(lambda: hub().presence_versions().get(topic, version) == version)
