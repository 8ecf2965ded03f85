"""Messages and joins of one socket, and what is refused."""

from __future__ import annotations

import logging
from typing import Any

import jwt
import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.auth import jwt_tokens
from tests.clients import Client, connected
from tests.rooms.channels import verifiers

pytestmark = pytest.mark.usefixtures("running_hub")

# The path of verifiers that fail.
FAILING = verifiers.__name__


def join_payload(room_id: str) -> dict[str, str]:
    """The payload of a valid join of a room."""
    return {"room_token": jwt_tokens.mint_room(room_id, 60), "session_id": "1"}


@pytest.mark.parametrize("text", [" ", "no json", "{}", "[1,2,3]", '["a","b","c","d"]'])
async def test_a_bad_frame_closes_only_its_own_socket(text: str) -> None:
    bad, other = await connected("ada", "bob")
    await bad.join("bad-frame")
    await other.join("bad-frame")

    await bad.wire.send_to(text_data=text)

    assert await bad.closed_with() == 1011
    assert list((await other.event("presence_diff"))["leaves"]) == ["ada:1"]
    assert (await other.ask("phoenix", "heartbeat", {}))["status"] == "ok"


async def test_a_large_message_is_refused_and_the_socket_stays_open() -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("large")
    await bob.join("large")

    reply = await ada.ask(
        "room:large", "new_msg", {"broadcast": True, "x": "y" * 70_000}
    )

    assert reply["response"] == {"reason": "message_too_large"}
    assert await bob.is_silent()
    assert (await ada.ask("room:large", "m", {"broadcast": True}))["status"] == "ok"


@pytest.mark.parametrize("depth", [65, 500, 5_000])
async def test_a_deep_message_is_refused_and_the_socket_stays_open(depth: int) -> None:
    [ada] = await connected("ada")
    await ada.join("deep")
    payload = "[" * (depth - 1) + "]" * (depth - 1)
    text = f'["j","r","room:deep","new_msg",{{"broadcast":true,"x":{payload}}}]'

    await ada.wire.send_to(text_data=text)

    reply = await ada.get()
    assert reply[:4] == ["j", "r", "room:deep", "phx_reply"]
    assert reply[4]["response"] == {"reason": "message_too_deep"}
    assert (await ada.ask("room:deep", "m", {"broadcast": True}))["status"] == "ok"


async def test_a_message_as_deep_as_allowed_is_relayed() -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("deepest")
    await bob.join("deepest")
    nested: Any = []
    for _ in range(62):
        nested = [nested]

    await ada.ask("room:deepest", "m", {"broadcast": True, "x": nested})

    assert (await bob.event("m"))["x"] == nested


HALF = "\\ud83d"


def envelopes(vsn: str, event: str, payload: str, topic: str = "room:odd") -> str:
    """A client's frame whose payload is this text."""
    if vsn == "2.0.0":
        return f'["j","7","{topic}","{event}",{payload}]'
    head = f'"topic":"{topic}","event":"{event}","ref":"7","join_ref":"j"'
    return f'{{{head},"payload":{payload}}}'


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
@pytest.mark.parametrize(
    "value", [f'"{HALF}"', f'{{"{HALF}":1}}', "NaN", "-Infinity", "1e400", '"\x02"']
)
@pytest.mark.parametrize(
    ("topic", "event", "payload"),
    [
        ("room:odd", "new_msg", '{"broadcast":true,"x":%s}'),
        ("room:odd", "new_msg", "%s"),
        ("room:odd", "phx_leave", '{"x":%s}'),
        ("room:odd", "presence_update", '{"meta":{"x":%s}}'),
        ("room:odd", "access_token", '{"access_token":%s}'),
        ("room:other", "phx_join", '{"meta":{"x":%s}}'),
        (f"room:{HALF}", "phx_join", '{"meta":{"x":%s}}'),
        ("room:odd", f"new_{HALF}", '{"broadcast":true,"x":%s}'),
        ("phoenix", "heartbeat", '{"x":%s}'),
        ("room:nowhere", "new_msg", '{"x":%s}'),
    ],
)
async def test_a_value_that_is_not_json_is_refused_and_the_socket_stays_open(
    vsn: str, value: str, topic: str, event: str, payload: str
) -> None:
    token = jwt_tokens.mint_user("ada", 60)
    ada = await Client("ada", user_token=token, vsn=vsn).connect()
    await ada.send_as(vsn, "j", "1", "room:odd", "phx_join", join_payload("odd"))
    ok = await ada.answer("1")
    bad = envelopes(vsn, event, payload.replace("%s", value), topic)

    await ada.wire.send_to(text_data=bad)
    refused = await ada.answer("7")
    await ada.send_as(vsn, "j", "8", "room:odd", "m", {"broadcast": True})

    assert ok["status"] == "ok"
    assert refused["status"] == "error"
    assert refused["response"]["reason"] == "invalid_payload"
    assert refused["response"]["message"]
    assert (await ada.answer("8"))["status"] == "ok"


async def test_a_message_that_is_not_json_is_not_delivered() -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("odd")
    await bob.join("odd")

    text = envelopes("2.0.0", "new_msg", f'{{"broadcast":true,"x":"{HALF}"}}')
    await ada.wire.send_to(text_data=text)
    await ada.ask("room:odd", "proof", {"broadcast": True})

    assert (await bob.get())[3] == "proof"


async def test_a_second_join_that_is_not_json_ends_the_first() -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("odd")
    await bob.join("odd")
    refused = metrics.JOINS_REFUSED.reasons["invalid_payload"]

    text = envelopes("2.0.0", "phx_join", f'{{"meta":{{"x":"{HALF}"}}}}')
    await ada.wire.send_to(text_data=text)

    assert list((await bob.event("presence_diff"))["leaves"]) == ["ada:1"]
    while (frame := await ada.get())[3] != "phx_reply":
        pass
    assert frame[4]["response"]["reason"] == "invalid_payload"
    assert (await ada.get())[:4] == ["j", "j", "room:odd", "phx_close"]
    assert metrics.JOINS_REFUSED.reasons["invalid_payload"] == refused + 1
    assert (await ada.try_join("odd"))["status"] == "ok"


async def test_a_binary_frame_whose_event_is_not_utf8_is_refused() -> None:
    [ada] = await connected("ada")
    await ada.join("odd")

    await ada.wire.send_to(bytes_data=b"\x00\x01\x01\x08\x02j7room:odd\xff\xffdata")

    reply = await ada.get()
    assert reply[:4] == ["j", "7", "room:odd", "phx_reply"]
    assert reply[4]["response"]["reason"] == "invalid_payload"
    assert (await ada.ask("room:odd", "m", {"broadcast": True}))["status"] == "ok"


async def test_with_strict_json_the_socket_is_closed_as_in_phoenix(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"strict_json": 1}
    [ada] = await connected("ada")

    await ada.wire.send_to(text_data=envelopes("2.0.0", "phx_join", f'"{HALF}"'))

    assert await ada.closed_with() == 1011


async def test_the_101st_topic_is_refused_until_one_is_left() -> None:
    [ada] = await connected("ada")
    for n in range(100):
        await ada.join(f"many-{n}")

    full = await ada.try_join("many-100")
    again = await ada.try_join("many-5")
    await ada.ask("room:many-7", "phx_leave", {})
    after = await ada.try_join("many-100")

    assert full["response"] == {"reason": "too many channels joined"}
    assert (again["status"], after["status"]) == ("ok", "ok")


async def test_a_join_of_an_unknown_topic_is_unmatched() -> None:
    [ada] = await connected("ada")

    reply = await ada.ask("nope:1", "phx_join", {})

    assert reply["response"] == {"reason": "unmatched topic"}


async def test_an_unavailable_backend_is_not_an_unauthorized_client(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{FAILING}.UnavailableForRooms"}
    [ada] = await connected("ada")

    reply = await ada.try_join("r")

    assert reply["response"] == {"reason": "unavailable"}


def bad_tokens() -> dict[str, str]:
    """Room tokens that are refused in `lobby`, by the reason."""
    foreign = jwt.encode({"room_id": "lobby", "exp": 2e9}, "x" * 32, "HS256")
    return {
        "the token is for room 'other', not for 'lobby'": jwt_tokens.mint_room(
            "other", 60
        ),
        "the token expired ": jwt_tokens.mint_room("lobby", -90),
        "the token is for user 'bob', not for 'ada'": jwt_tokens.mint_room(
            "lobby", 60, user_id="bob"
        ),
        "the token is not signed with BEAM_TOKEN_SECRET": foreign,
        "the token is not a JWT": "abc",
    }


@pytest.mark.parametrize("debug", [True, False])
async def test_the_log_and_developers_get_why_a_join_is_refused(
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    debug: bool,
) -> None:
    settings.DEBUG = debug
    caplog.set_level(logging.DEBUG, "rooms.monitoring.client_log")
    [ada] = await connected("ada")

    for why, token in bad_tokens().items():
        caplog.clear()
        response = (await ada.try_join("lobby", room_token=token))["response"]

        [line] = caplog.messages
        assert line.startswith(f"Refused ada to join room:lobby: unauthorized, {why}")
        assert token not in line
        assert response["reason"] == "unauthorized"
        assert response.get("message", "").startswith(why if debug else "")
        assert ("message" in response) is debug


@pytest.mark.parametrize("debug", [True, False])
async def test_the_log_and_developers_get_why_a_new_token_is_refused(
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    debug: bool,
) -> None:
    settings.DEBUG = debug
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    [ada] = await connected("ada")
    await ada.join("lobby")
    token = jwt_tokens.mint_room("other", 60)

    reply = await ada.ask("room:lobby", "access_token", {"access_token": token})

    why = "the token is for room 'other', not for 'lobby'"
    assert caplog.messages == [
        f"Refused ada a new token for room:lobby: unauthorized, {why}"
    ]
    expected = {"reason": "unauthorized"} | ({"message": why} if debug else {})
    assert reply["response"] == expected


LONG = "x" * 600


@pytest.mark.parametrize(
    ("join_ref", "ref", "topic"),
    [
        (LONG, "1", "room:r"),
        (None, LONG, "room:r"),
        ([[]] * 300, "1", "room:r"),
        ({"x": LONG}, "1", "room:r"),
        ("1", "1", f"own:{LONG}"),
    ],
    ids=["join_ref", "ref", "list", "object", "topic"],
)
async def test_a_join_with_a_long_topic_or_ref_is_refused(
    settings: Settings, join_ref: Any, ref: Any, topic: str
) -> None:
    channels = {"own:*": "rooms.channels.channel.Channel"}
    settings.BEAM = settings.BEAM | {"channels": channels}
    [ada] = await connected("ada")

    await ada.send(join_ref, ref, topic, "phx_join", {})

    reply = await ada.get()
    assert reply[1:4] == [ref, topic, "phx_reply"]
    assert reply[4]["response"]["reason"] == "invalid_payload"
    assert "at most" in reply[4]["response"]["message"]
    assert (await ada.try_join("r"))["status"] == "ok"


async def test_a_join_of_an_unknown_topic_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "rooms.monitoring.client_log")
    [ada] = await connected("ada")

    response = (await ada.ask("nowhere", "phx_join", {}))["response"]

    assert response == {"reason": "unmatched topic"}
    assert caplog.messages == ["Refused ada to join nowhere: unmatched topic"]
