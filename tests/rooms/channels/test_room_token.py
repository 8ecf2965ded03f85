"""Room tokens that expire on an open socket, and bad ones sent repeatedly."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import jwt_tokens
from rooms.channels.client_consumer import ClientConsumer
from rooms.channels.room_presence import MOST_DEPARTED, RoomPresence
from rooms.messaging import publisher
from rooms.messaging.connections import connections
from rooms.protocol.removal_event import removal
from rooms.protocol.reply_delay import LONGEST_DELAY, refusal_delay
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")


@pytest.fixture(autouse=True)
def exact(settings: Settings) -> None:
    """No leeway, and a very short grace period."""
    settings.BEAM = settings.BEAM | {"token_leeway": 0.0, "token_grace": 0.1}


async def member(seconds: float, **payload: object) -> Client:
    """In the room `r` with a token for some whole seconds."""
    [ada] = await connected("ada")
    # `exp` has no fractions: the next second is the least.
    token = jwt_tokens.mint_room("r", seconds, user_id="ada")
    await ada.join("r", room_token=token, **payload)
    return ada


async def test_a_member_is_notified_and_removed_after_the_grace_period() -> None:
    expired = metrics.TOKENS_EXPIRED.value
    ada = await member(1.5)

    frame = await ada.wire.receive_from(timeout=5)

    assert '"token_expired"' in frame
    assert '"grace_seconds":0.1' in frame
    assert (await ada.event("beam_removed")) == {"reason": "token_expired"}
    assert (await ada.event("phx_close")) == {}
    assert metrics.TOKENS_EXPIRED.value == expired + 1
    unmatched = await ada.ask("room:r", "new_msg", {"broadcast": True})
    assert unmatched["response"]["reason"] == "unmatched topic"


async def test_a_member_with_a_new_token_in_time_stays() -> None:
    ada = await member(1.5)
    await ada.wire.receive_from(timeout=5)
    fresh = jwt_tokens.mint_room("r", 60, can=["push"])

    reply = await ada.ask("room:r", "access_token", {"access_token": fresh})

    assert reply == {"status": "ok", "response": {}}
    await asyncio.sleep(0.15)
    reply = await ada.ask("room:r", "new_msg", {"broadcast": True})
    assert reply["status"] == "ok"
    refused = await ada.ask("room:r", "presence_update", {"meta": {}})
    assert refused["response"]["reason"] == "forbidden"


@pytest.mark.parametrize(
    "bad",
    [None, "x.y.z", jwt_tokens.mint_room("other", 60), jwt_tokens.mint_user("ada", 60)],
)
async def test_an_invalid_new_token_changes_nothing(bad: object) -> None:
    ada = await member(60)

    refused = await ada.ask("room:r", "access_token", {"access_token": bad})

    assert refused == {"status": "error", "response": {"reason": "unauthorized"}}
    reply = await ada.ask("room:r", "new_msg", {"broadcast": True})
    assert reply["status"] == "ok"


async def test_with_a_grace_below_zero_members_stay(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"token_grace": -1.0}
    ada = await member(1.5)

    await asyncio.sleep(max(0.0, 2.0 - time.time() % 1))

    assert await ada.is_silent()


async def test_bad_tokens_are_answered_later_and_later() -> None:
    [ada] = await connected("ada")
    took = []
    for _ in range(4):
        began = time.monotonic()
        refused = await ada.try_join("r", room_token="x.y.z")
        took.append(time.monotonic() - began)
        assert refused["response"]["reason"] == "unauthorized"

    assert took[0] < 0.1 <= took[1] < took[2] < took[3]
    await ada.join("r")
    began = time.monotonic()
    await ada.try_join("r2", room_token="x.y.z")
    assert time.monotonic() - began < 0.1


async def test_bad_new_tokens_are_answered_later_and_later() -> None:
    ada = await member(60)
    took = []
    for _ in range(4):
        began = time.monotonic()
        await ada.ask("room:r", "access_token", {"access_token": "x.y.z"})
        took.append(time.monotonic() - began)

    assert took[0] < 0.1 <= took[1] < took[2] < took[3]


async def test_a_new_token_without_presence_removes_the_members_presence() -> None:
    ada = await member(60)
    [bob] = await connected("bob")
    assert set(await bob.join("r")) == {"ada:1"}
    fresh = jwt_tokens.mint_room("r", 60, can=["push"])

    reply = await ada.ask("room:r", "access_token", {"access_token": fresh})

    assert reply["status"] == "ok"
    assert set((await bob.event("presence_diff"))["leaves"]) == {"ada:1"}


async def test_a_member_that_is_removed_while_joining_is_notified_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    track = RoomPresence.track

    async def slowly(presence: RoomPresence, *args: Any) -> Any:
        before = await track(presence, *args)
        await publisher.publish_and_deliver(removal("room:r", "rude"))
        return before

    monkeypatch.setattr(RoomPresence, "track", slowly)
    [ada] = await connected("ada")
    token = jwt_tokens.mint_room("r", 1, user_id="ada")
    reply = await ada.try_join("r", room_token=token)

    assert reply["status"] == "ok"
    assert await ada.event("beam_removed") == {"reason": "rude"}
    assert await ada.event("phx_close") == {}
    # Its timer would have reported the end of the token.
    await asyncio.sleep(max(0.0, 2.2 - time.time() % 1))
    assert await ada.is_silent()


async def test_a_connection_keeps_the_presence_of_few_rooms_that_it_left() -> None:
    [ada] = await connected("ada")
    for n in range(MOST_DEPARTED + 5):
        await ada.join(f"r{n}")
        await ada.ask(f"room:r{n}", "phx_leave", {})

    [consumer] = connections().everyone()
    assert isinstance(consumer, ClientConsumer)
    assert len(consumer.channels.departed) == MOST_DEPARTED


async def test_others_on_the_connection_do_not_wait() -> None:
    [ada] = await connected("ada")
    await ada.join("r")
    for _ in range(3):
        await ada.send(
            "j", "bad", "room:x", "phx_join", {"room_token": "x.y.z", "session_id": "1"}
        )

    began = time.monotonic()
    reply = await ada.ask("room:r", "new_msg", {"broadcast": True})

    assert reply["status"] == "ok"
    assert time.monotonic() - began < 0.1


def test_the_delay_grows_and_is_bounded() -> None:
    delays = [refusal_delay(n) for n in range(2_000)]

    assert delays[:5] == [0.0, 0.0, 0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
