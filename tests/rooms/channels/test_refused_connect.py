"""Connects that are refused: the status, the counters, the log."""

from __future__ import annotations

import base64
import logging
from typing import Any
from urllib.parse import urlencode

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django.fixtures import Settings

from beam.asgi import application
from beam.telemetry import log_summary, metrics
from rooms.auth import jwt_tokens
from rooms.messaging.connections import connections
from tests.clients import Client, connected
from tests.rooms.channels import verifiers

pytestmark = pytest.mark.usefixtures("running_hub")

# The path of verifiers that fail.
FAILING = verifiers.__name__


ROOM_TOKEN = "this is a room token; a user token is expected"


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
    settings.BEAM = settings.BEAM | {"verifier": f"{FAILING}.{verifier}"}
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
    settings.BEAM = settings.BEAM | {"verifier": f"{FAILING}.Broken"}

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


@pytest.mark.parametrize(
    ("query", "more", "reason"),
    [
        ({"user_token": "no"}, {}, "token"),
        ({"vsn": "9.0.0"}, {}, "vsn"),
        ({"%ff": ""}, {}, "malformed"),
        ({}, {"verifier": f"{FAILING}.UnavailableForAll"}, "unavailable"),
        ({}, {"verifier": f"{FAILING}.Broken"}, "failed"),
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


async def test_connections_are_refused_while_the_backend_is_unavailable(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"verifier": f"{FAILING}.UnavailableForAll"}

    assert await Client("ada").is_refused()


async def test_the_log_says_why_a_connect_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    foreign = jwt_tokens.mint_room("lobby", 60)

    assert await Client("ada", vsn="8.0.0").is_refused()
    assert await Client("ada", user_token="no").is_refused()
    assert await Client("ada", user_token=foreign).is_refused()

    messages = [(vars(one)["reason"], one.getMessage()) for one in caplog.records]
    assert messages == [
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


async def test_tokens_are_not_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    token = jwt_tokens.mint_user("ada", -60)

    await Client("ada", user_token=token).is_refused()

    assert token not in caplog.text
    assert "Refused to connect" in caplog.text
