"""Tokens as backends in other languages make them, at a real server."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.conftest import Serve
from tests.processes import Server, wait_until

SECRET = settings.TOKEN_SECRETS[0]


def token(**claims: Any) -> str:
    """A token with these claims, valid for a minute by default."""
    return jwt.encode({"exp": int(time.time()) + 60, **claims}, SECRET, "HS256")


def opened(server: Server, user_token: str) -> connect:
    """A connection with a user token."""
    query = f"vsn=2.0.0&user_token={user_token}"
    return connect(f"{server.socket_url}/websocket?{query}", proxy=None)


async def join(socket: ClientConnection, room_token: str) -> Any:
    """The reply to a join of the room 42."""
    payload = {"room_token": room_token, "session_id": 1}
    await socket.send(json.dumps(["1", "1", "room:42", "phx_join", payload]))
    while (frame := json.loads(await socket.recv()))[3] != "phx_reply":
        pass
    return frame[4]


async def test_a_date_in_milliseconds_is_refused_and_logged(
    beam_server: Serve,
) -> None:
    server = beam_server()
    late = int(time.time() * 1_000) + 60_000

    with pytest.raises(InvalidStatus) as refused:
        async with opened(server, token(user_id="ada", exp=late)):
            pass
    assert refused.value.response.status_code == 403
    async with opened(server, token(user_id="ada")) as socket:
        reply = await join(socket, token(room_id="42", exp=late))

    assert reply["status"] == "error"
    assert reply["response"]["reason"] == "unauthorized"
    for begin in ("Refused to connect", "Refused ada to join room:42"):
        wait_until(
            lambda begin=begin: any(
                begin in line and "`exp`" in line and "milliseconds" in line
                for line in server.text().splitlines()
            ),
            f"a line of the log: {begin}",
        )


async def test_numeric_ids_and_unknown_claims_are_accepted(
    beam_server: Serve,
) -> None:
    server = beam_server(BEAM_TOKEN_USER_CLAIM="sub")
    odd = {"jti": 7, "iat": None, "nbf": None}

    async with opened(server, token(sub=42, **odd)) as socket:
        reply = await join(socket, token(room_id=42, sub=42, **odd))
        assert reply["status"] == "ok"
        while (frame := json.loads(await socket.recv()))[3] != "presence_diff":
            pass

    assert list(frame[4]["joins"]) == ["42:1"]
