"""One connection: the handshake, its frames, its limits and its end."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from channels.testing import WebsocketCommunicator
from django.db import OperationalError
from pytest_django.fixtures import Settings

from beam import redis
from beam.asgi import application
from beam.telemetry import log_summary, metrics
from rooms.auth import grants, jwt_tokens
from rooms.channels.client_consumer import ClientConsumer
from rooms.channels.room import RoomChannel
from rooms.messaging import publisher
from rooms.messaging.connections import connections, disconnect_event
from rooms.messaging.hub import Hub
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")

ROOM_TOKEN = "this is a room token; a user token is expected"


def join_payload(room_id: str) -> dict[str, str]:
    """The payload of a valid join of a room."""
    return {"room_token": jwt_tokens.mint_room(room_id, 60), "session_id": "1"}


def subprotocols(token: str) -> list[str]:
    """The subprotocols that the client option `authToken` offers."""
    text = base64.b64encode(token.encode()).decode().rstrip("=")
    return ["phoenix", f"base64url.bearer.phx.{text}"]


@pytest.mark.parametrize(
    "query",
    [
        {"vsn": "2.0.0"},
        {"user_token": ""},
        {"user_token": "garbage"},
        {"user_token": jwt_tokens.mint_user("ada", -60)},
        {"user_token": jwt_tokens.mint_room("r", 60, user_id="ada")},
        {"user_token": "x" * 20_000},
    ],
)
async def test_an_invalid_token_is_refused(query: dict[str, str]) -> None:
    before = metrics.REFUSED.value

    assert await Client("ada", **query).is_refused()
    assert metrics.REFUSED.value == before + 1


async def test_auth_token_is_accepted_in_place_of_user_token() -> None:
    wire = WebsocketCommunicator(
        application,
        "/socket/websocket?vsn=2.0.0",
        subprotocols=subprotocols(jwt_tokens.mint_user("ada", 60)),
    )

    assert await wire.connect() == (True, "phoenix")
    await wire.disconnect()


async def test_another_origin_is_refused_if_origins_are_checked(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"allowed_origins": ()}
    path = f"/socket/websocket?user_token={jwt_tokens.mint_user('ada', 60)}"
    ours = [(b"host", b"beam.test:5000"), (b"origin", b"https://beam.test")]
    other = [(b"host", b"beam.test:5000"), (b"origin", b"https://evil.test")]

    good = WebsocketCommunicator(application, path, headers=ours)
    bad = WebsocketCommunicator(application, path, headers=other)

    assert (await good.connect())[0]
    assert not (await bad.connect())[0]
    await good.disconnect()


@pytest.mark.parametrize(
    "path",
    [
        "/socket/websocket/",
        "/socket//websocket",
        "//socket/websocket",
        "///socket//websocket//",
        "/socket/websocket",
    ],
)
async def test_doubled_and_trailing_slashes_are_accepted(path: str) -> None:
    wire = WebsocketCommunicator(
        application, f"{path}?user_token={jwt_tokens.mint_user('ada', 60)}"
    )
    # The communicator reads the text after two slashes as a host.
    wire.scope["path"] = path

    assert (await wire.connect())[0]
    await wire.disconnect()


@pytest.mark.parametrize("path", ["/socket", "/Socket/websocket", "/other/websocket"])
async def test_other_paths_have_no_socket(path: str) -> None:
    wire = WebsocketCommunicator(
        application, f"{path}?user_token={jwt_tokens.mint_user('ada', 60)}"
    )

    assert not (await wire.connect())[0]


async def refusal(path: str) -> tuple[Any, dict[bytes, bytes]]:
    """The status and the headers of a handshake that is refused."""
    wire = WebsocketCommunicator(application, path)
    wire.scope["extensions"] = {"websocket.http.response": {}}
    await wire.send_input({"type": "websocket.connect"})
    start = await wire.receive_output(1)
    assert start["type"] == "websocket.http.response.start", start
    body = await wire.receive_output(1)
    assert body == {"type": "websocket.http.response.body", "body": b""}
    await wire.wait(1)
    return start["status"], dict(start["headers"])


def mount(**query: str) -> str:
    """The socket's path with ada's token."""
    token = {"user_token": jwt_tokens.mint_user("ada", 60)}
    return "/socket/websocket?" + urlencode(token | query)


EMPTY = {b"content-length": b"0"}


async def test_what_will_not_change_is_403_without_retry_after() -> None:
    assert await refusal(mount(user_token="no")) == (403, EMPTY)
    assert await refusal(mount(vsn="9.0.0")) == (403, EMPTY)
    assert await refusal("/other/websocket") == (404, EMPTY)
    assert await refusal("/socket") == (404, EMPTY)


async def test_a_limit_is_429(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"max_user_connections": 1}
    _one = await connected("ada")

    status, headers = await refusal(mount())

    assert (status, headers[b"retry-after"]) == (429, b"10")


@pytest.mark.parametrize("verifier", ["UnavailableForAll", "NoRedis", "NoDatabase"])
async def test_what_is_unavailable_is_503(settings: Settings, verifier: str) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{__name__}.{verifier}"}
    before = metrics.REFUSED.reasons["unavailable"]

    status, headers = await refusal(mount())

    assert (status, headers[b"retry-after"]) == (503, b"5")
    assert metrics.REFUSED.reasons["unavailable"] == before + 1
    query = mount().partition("?")[2].encode()
    assert await plain("GET", query) == (503, b"")


async def test_a_draining_process_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    connections().drain()

    status, headers = await refusal(mount())

    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert await plain("GET", mount().partition("?")[2].encode()) == (503, b"")


async def test_a_bug_is_500(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{__name__}.Broken"}

    assert await refusal(mount()) == (500, EMPTY)


async def plain(method: str, query: bytes) -> tuple[int, bytes]:
    """A request of the WebSocket path without an upgrade."""
    scope = {
        "type": "http",
        "method": method,
        "path": "/socket/websocket",
        "query_string": query,
        "headers": [],
    }
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, None, send)
    start, body = sent
    return start["status"], body["body"]


async def test_without_an_upgrade_the_checks_come_first() -> None:
    good = b"user_token=" + jwt_tokens.mint_user("ada", 60).encode()

    assert await plain("GET", b"user_token=bad") == (403, b"")
    assert (await plain("GET", good))[0] == 400
    assert await plain("POST", good) == (400, b"")


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


@pytest.mark.parametrize(
    ("query", "more", "reason"),
    [
        ({"user_token": "no"}, {}, "token"),
        ({"vsn": "9.0.0"}, {}, "vsn"),
        ({"%ff": ""}, {}, "malformed"),
        ({}, {"verifier": f"{__name__}.UnavailableForAll"}, "unavailable"),
        ({}, {"verifier": f"{__name__}.Broken"}, "failed"),
        ({}, {"max_user_connections": 1}, "limit"),
    ],
)
async def test_a_refusal_is_counted_by_its_reason(
    settings: Settings, query: dict[str, str], more: dict[str, Any], reason: str
) -> None:
    _one = await connected("ada")
    settings.BEAM = settings.BEAM | more
    before = dict(metrics.REFUSED.reasons)
    token = jwt_tokens.mint_user("ada", 60)
    text = "&".join(
        f"{name}={value}" for name, value in ({"user_token": token} | query).items()
    )
    wire = WebsocketCommunicator(application, f"/socket/websocket?{text}")

    assert not (await wire.connect())[0]
    assert metrics.REFUSED.reasons == before | {reason: before[reason] + 1}


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
    told = [record.getMessage() for record in caplog.records]
    assert "RoomChannel crashed" in told
    assert told[-1].startswith("Connection of ada ended")


async def test_every_end_releases_what_the_connection_held(running_hub: Hub) -> None:
    before = len(connections())
    [ada] = await connected("ada")
    await ada.join("held")
    assert len(connections()) == before + 1

    await ada.close()

    assert len(connections()) == before
    assert running_hub.size("room:held") == 0


async def test_a_join_of_an_unknown_topic_is_unmatched() -> None:
    [ada] = await connected("ada")

    reply = await ada.ask("nope:1", "phx_join", {})

    assert reply["response"] == {"reason": "unmatched topic"}


class UnavailableForRooms(jwt_tokens.JwtVerifier):
    """A backend that answers for users and is unavailable for rooms."""

    async def room(self, token: str) -> grants.RoomGrant:
        raise grants.BackendUnavailable


class Broken(UnavailableForRooms):
    """A verifier with a bug."""

    async def user(self, token: str) -> grants.Identity:
        raise RuntimeError("a bug")


class NoRedis(UnavailableForRooms):
    """A verifier that needs Redis, which is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise redis.Unavailable


class NoDatabase(UnavailableForRooms):
    """A verifier that needs the database, which is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise OperationalError("unavailable")


class UnavailableForAll(UnavailableForRooms):
    """A backend that is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise grants.BackendUnavailable


async def test_an_unavailable_backend_is_not_an_unauthorized_client(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{__name__}.UnavailableForRooms"}
    [ada] = await connected("ada")

    reply = await ada.try_join("away")

    assert reply["response"] == {"reason": "unavailable"}


async def test_connections_are_refused_while_the_backend_is_unavailable(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{__name__}.UnavailableForAll"}

    assert await Client("ada").is_refused()


async def test_the_log_says_why_a_connect_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    foreign = jwt_tokens.mint_room("lobby", 60)

    assert await Client("ada", vsn="8.0.0").is_refused()
    assert await Client("ada", user_token="no").is_refused()
    assert await Client("ada", user_token=foreign).is_refused()

    told = [(vars(one)["reason"], one.getMessage()) for one in caplog.records]
    assert told == [
        ("vsn", "Refused to connect: vsn is not supported"),
        ("token", "Refused to connect: the token is not a JWT"),
        ("token", f"Refused to connect: {ROOM_TOKEN}"),
    ]


async def test_refused_connects_do_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")

    for _ in range(40):
        assert await Client("ada", user_token="no").is_refused()
    log_summary.flush()

    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == "30 more connections refused within 10 s: 30 token"


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


async def test_tokens_are_not_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    token = jwt_tokens.mint_user("ada", -60)

    await Client("ada", user_token=token).is_refused()

    assert token not in caplog.text
    assert "Refused to connect" in caplog.text


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
