"""Bad input is answered to its sender, and no other client is affected."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from tests.journeys.test_server import close_code, event, join
from tests.processes import Server, serve


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, which logs no error."""
    with serve(tmp_path_factory.mktemp("bad")) as running:
        yield running
        assert "Traceback" not in running.text()
        assert "ERROR" not in running.text()


@pytest.fixture
async def sender(server: Server) -> AsyncIterator[ClientConnection]:
    """The member that sends bad input."""
    client = await join(server, "ada", "r")
    yield client
    await client.close()


@pytest.fixture
async def witness(
    server: Server, sender: ClientConnection
) -> AsyncIterator[ClientConnection]:
    """Another member: the next event that it receives is the backend's."""
    client = await join(server, "bob", "r")
    yield client
    httpx.post(
        f"{server.url}/api/v1/push_room_event",
        json={"room_id": "r", "event": "proof"},
        headers={"secret": "dev-secret"},
    )
    frame = json.loads(await client.recv())
    while frame[3] == "presence_diff":  # the sender has left
        frame = json.loads(await client.recv())
    assert frame[3] == "proof"
    await client.close()


pytestmark = pytest.mark.usefixtures("witness")


def nest(depth: int) -> str:
    """Lists in lists."""
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", 1011),
        ("{}", 1011),
        ('["1","2","room:r"]', 1011),
        (nest(100_000), 1011),
        (b"\x00\x01", 1011),
        (b"\x05" * 50, 1011),
        ("x" * 1_100_000, 1009),
    ],
)
async def test_a_frame_that_cannot_be_read_closes_only_its_socket(
    sender: ClientConnection, text: str | bytes, code: int
) -> None:
    await sender.send(text)

    assert await close_code(sender) == code


async def test_invalid_utf8_closes_only_its_socket(sender: ClientConnection) -> None:
    await sender.send(b"\xff\xfe", text=True)

    assert await close_code(sender) == 1007


@pytest.mark.parametrize(
    ("event_name", "payload", "reason"),
    [
        ('"new_msg"', '{"x":1}', "invalid_payload"),
        ('"new_msg"', '"text"', "invalid_payload"),
        ('"new_msg"', "null", "invalid_payload"),
        ('"new_msg"', '{"to":[{"session":["bob:1"]}]}', "invalid_payload"),
        ('{"a":1}', '{"broadcast":true}', "invalid_payload"),
        ('"phx_error"', '{"broadcast":true}', "reserved_event"),
        ('"presence_diff"', '{"broadcast":true}', "reserved_event"),
        ('"m"', '{"broadcast":true,"x":"' + "y" * 70_000 + '"}', "message_too_large"),
        ('"m"', '{"broadcast":true,"x":' + nest(200) + "}", "message_too_deep"),
        ('"m"', '{"broadcast":true,"x":' + nest(30_000) + "}", "message_too_deep"),
        ('"m"', '{"broadcast":true,"x":"\\ud83d"}', "invalid_payload"),
        ('"m"', '{"broadcast":true,"x":NaN}', "invalid_payload"),
        ('"m\\ud83d"', '{"broadcast":true}', "invalid_payload"),
        ('"phx_leave"', '{"x":1e400}', "invalid_payload"),
    ],
)
async def test_an_invalid_frame_that_can_be_read_is_answered(
    sender: ClientConnection, event_name: str, payload: str, reason: str
) -> None:
    await sender.send(f'["1","9","room:r",{event_name},{payload}]')

    assert (await event(sender, "phx_reply"))["response"]["reason"] == reason
    await sender.send('[null,"10","phoenix","heartbeat",{}]')
    assert (await event(sender, "phx_reply"))["status"] == "ok"


@pytest.mark.parametrize(
    ("room_id", "reason"),
    [
        ("x" * 10_000, "invalid_room_id"),
        ("a\u0000b", "invalid_room_id"),
        ("", "invalid_room_id"),
        ("../../etc", "unauthorized"),
        ("'; DROP TABLE rooms; --", "unauthorized"),
        ("日本/\"'\\", "unauthorized"),
    ],
)
async def test_hostile_room_ids_are_refused(
    sender: ClientConnection, room_id: str, reason: str
) -> None:
    payload = {"room_token": "x", "session_id": "1"}
    await sender.send(json.dumps(["2", "2", f"room:{room_id}", "phx_join", payload]))

    assert (await event(sender, "phx_reply"))["response"]["reason"] == reason


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 401),
        (b"{}", {"secret": "wrong"}, 401),
        (b"no json", {"secret": "dev-secret"}, 400),
        (b"\xff\xfe", {"secret": "dev-secret"}, 400),
        (b"[]", {"secret": "dev-secret"}, 400),
        (b'{"room_id":"r","payload":[1]}', {"secret": "dev-secret"}, 400),
        (b'{"room_id":"r","event":"phx_close"}', {"secret": "dev-secret"}, 400),
        (b"[" * 50_000, {"secret": "dev-secret"}, 400),
        (b'{"room_id":"r","payload":{"x":"\\ud83d"}}', {"secret": "dev-secret"}, 400),
        (b'{"room_id":"r","payload":{"x":NaN}}', {"secret": "dev-secret"}, 400),
        (b"x" * 200_000, {"secret": "dev-secret"}, 413),
    ],
)
async def test_invalid_requests_are_answered(
    server: Server, body: bytes, headers: dict[str, Any], status: int
) -> None:
    answer = httpx.post(
        f"{server.url}/api/v1/push_room_event",
        content=body,
        headers={"content-type": "application/json"} | headers,
    )

    assert answer.status_code == status
    assert answer.json()["error"]["code"]
