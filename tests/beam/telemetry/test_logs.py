"""Log lines: JSON in production, with the id of the request, without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import Counter
from typing import Any

import httpx
import pytest

from beam.asgi import application
from beam.telemetry import log_summary, logs
from beam.telemetry.logs import (
    JsonFormatter,
    LineFormatter,
    RequestFilter,
)
from rooms.auth import jwt_tokens
from rooms.messaging.connections import connections
from tests.clients import Client, connected, until
from tests.conftest import Serve
from tests.processes import Server

SECRET = {"secret": "dev-secret"}
PRODUCTION = {
    "DEBUG": "0",
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": "127.0.0.1",
    "BEAM_API_SECRET": "a-secret-of-the-backend",
    "BEAM_TOKEN_SECRET": "t" * 40,
}


def record(**more: Any) -> logging.LogRecord:
    """A record with extra fields."""
    made = logging.LogRecord("rooms.x", logging.INFO, "f", 1, "Hello %s", ("é",), None)
    made.__dict__.update(more)
    RequestFilter().filter(made)
    return made


def test_a_line_in_production_is_one_json_object() -> None:
    line = JsonFormatter().format(record(user="ada", seconds=1.5, created=0.0, msecs=7))

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.007Z",
        "level": "INFO",
        "logger": "rooms.x",
        "message": "Hello é",
        "user": "ada",
        "seconds": 1.5,
    }


def test_a_traceback_is_in_the_same_line() -> None:
    try:
        raise ValueError("a bug")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(record(exc_info=info))

    assert "\n" not in line
    assert "ValueError: a bug" in json.loads(line)["traceback"]


def test_values_that_are_no_json_are_logged_as_text() -> None:
    line = json.loads(JsonFormatter().format(record(odd=object(), user="a\nb")))

    assert line["user"] == "a\nb"
    assert "object" in line["odd"]


def test_lines_have_the_id_of_their_request() -> None:
    token = logs.request_id.set("r-1")
    try:
        assert json.loads(JsonFormatter().format(record()))["request_id"] == "r-1"
        assert LineFormatter().format(record()).endswith("Hello é (request r-1)")
    finally:
        logs.request_id.reset(token)
    assert "request" not in LineFormatter().format(record())


async def ids() -> list[str | None]:
    """The ids of lines that a task, its thread and a callback of the loop write."""
    found: list[str | None] = []

    def note() -> None:
        found.append(getattr(record(), "request_id", None))

    note()
    await asyncio.to_thread(note)
    asyncio.get_running_loop().call_soon(note)
    await until(lambda: len(found) == 3)
    return found


async def test_a_callback_of_the_loop_belongs_to_no_request() -> None:
    logs.request_id.set("r-1")

    assert await ids() == ["r-1", "r-1", None]


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ("abc-1.2:3/4+5=", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("a\x1b[31m", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/nope", "/nope"])
async def test_a_response_has_the_id_of_its_request(
    path: str, given: str, accepted: bool
) -> None:
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://beam") as http:
        answer = await http.get(path, headers={"x-request-id": given})

    ids = answer.headers.get_list("x-request-id")
    assert len(ids) == 1
    assert (ids[0] == given) == accepted
    assert accepted or re.fullmatch("[0-9a-f]{16}", ids[0])


@pytest.mark.usefixtures("running_hub")
async def test_each_connection_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    [ada] = await connected("ada")
    await ada.join("r")
    await ada.close()

    [line] = [
        one for one in caplog.records if one.name == "rooms.monitoring.client_log"
    ]
    assert re.fullmatch(
        r"Connection of ada ended after \d\.\d s: closed_by_client", line.getMessage()
    )
    fields = vars(line)
    assert fields["user"] == "ada"
    assert fields["seconds"] < 5


@pytest.mark.usefixtures("running_hub")
async def test_many_clients_that_leave_at_once_do_not_flood_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients = await connected(*(f"u{n}" for n in range(60)))
    caplog.set_level(logging.DEBUG, "rooms.monitoring.client_log")

    for client in clients:
        await client.wire.send_input({"type": "websocket.disconnect", "code": 1000})
    await until(lambda: not connections().everyone())
    log_summary.flush()

    levels = Counter(one.levelname for one in caplog.records)
    counted = sum(vars(one).get("count", 0) for one in caplog.records)
    # Each has a line at the level DEBUG; at INFO the rest is summed up.
    assert levels["INFO"] < 30
    assert levels["DEBUG"] == counted >= 30
    assert caplog.text.count("Connection of") == 60


@pytest.mark.usefixtures("running_hub")
async def test_the_line_says_why_beam_closed_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rooms.monitoring.client_log")
    client: Client
    [client] = await connected("ada")

    await client.wire.send_to("no frame")
    await client.closed_with()

    assert [one.getMessage().rsplit(" ", 1)[1] for one in caplog.records] == [
        "bad_frame"
    ]


def lines(server: Server) -> list[dict[str, Any]]:
    """All lines of the server, parsed as JSON."""
    return [json.loads(line) for line in server.text().splitlines()]


def test_in_production_every_line_is_json_without_secrets(
    beam_server: Serve,
) -> None:
    server = beam_server(**PRODUCTION)
    user_token = jwt_tokens.mint_user("ada", 60)
    secret = {"secret": PRODUCTION["BEAM_API_SECRET"], "x-request-id": "abc-1"}
    api = f"{server.url}/api/v1"

    httpx.post(f"{api}/rooms/lobby/close", headers=secret)
    httpx.post(
        f"{api}/push_room_event",
        json={"room_id": "r", "payload": {"text": "what was said"}},
        headers=secret,
    )
    query = {"vsn": "2.0.0", "user_token": user_token}
    refused = httpx.get(f"{server.url}/socket/websocket", params=query)
    assert refused.status_code == 403
    strangers = {"host": "evil.example"}
    httpx.get(f"{server.url}/socket/longpoll", params=query, headers=strangers)
    httpx.post(f"{server.url}/admin/login/", params=query, data=query)
    server.stop()

    found = lines(server)
    assert {"time", "level", "logger", "message"} <= found[0].keys()
    [entry] = [
        line for line in found if line["message"].startswith("Closed room lobby")
    ]
    assert entry["by"] == "secret"
    assert entry["room_id"] == "lobby"
    assert entry["request_id"] == "abc-1"
    assert "GET /socket/longpoll" in [line.get("request") for line in found]
    assert "POST /admin/login/" in [line.get("request") for line in found]
    text = server.text()
    for hidden in (
        user_token,
        "what was said",
        PRODUCTION["BEAM_API_SECRET"],
        PRODUCTION["BEAM_TOKEN_SECRET"],
    ):
        assert hidden not in text
