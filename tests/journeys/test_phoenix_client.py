"""The official Phoenix client in node, unmodified, old and new versions."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from rooms.auth import jwt_tokens
from tests.conftest import Serve
from tests.processes import NODE_FOLDER, Server, find_node, serve

pytestmark = pytest.mark.node

KINDS = ["beam", "daphne", "uvicorn"]
ROOM = "lobby"
TTL = 600


def arguments(server: Server, **more: Any) -> str:
    """The arguments of every scenario: the URLs, and tokens for ada and bob."""
    return json.dumps(
        {
            "url": server.socket_url,
            "http": server.url,
            "room": ROOM,
            "ada": jwt_tokens.mint_user("ada", TTL),
            "bob": jwt_tokens.mint_user("bob", TTL),
            "room_token": jwt_tokens.mint_room(more.get("room", ROOM), TTL),
        }
        | more
    )


def node(script: str, arguments: str) -> Any:
    """Run a scenario; its last report."""
    done = subprocess.run(
        [find_node(), f"{script}.mjs", arguments],
        cwd=NODE_FOLDER,
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=KINDS)
def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each server in turn, for all scenarios of this module."""
    with serve(tmp_path_factory.mktemp("server"), request.param) as server:
        yield server


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
def test_members_join_talk_and_leave(any_server: Server, vsn: str) -> None:
    got = node("talk", arguments(any_server, vsn=vsn, room=f"talk {vsn}"))

    source = {"user_id": "ada", "session": "ada:1"}
    assert got["join"] == got["ok"] == got["left"] == got["rejoin"] == ["ok", {}]
    assert [message.get("n") for message in got["received"]][:3] == [1, 2, 3]
    assert all(message["from"] == source for message in got["received"])
    assert got["error"][0] == "error"
    assert got["error"][1]["reason"] == "invalid_payload"
    assert got["reserved"][1]["reason"] == "reserved_event"
    assert got["timeout"][0] == "timeout"


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
def test_presence_follows_every_kind_of_join_and_leave(
    any_server: Server, vsn: str
) -> None:
    got = node("presence", arguments(any_server, vsn=vsn, room=f"presence {vsn}"))

    assert got["keys"] == ["ada:1", "ada:2", "bob:w"]
    assert got["oldestFirst"] == [0, 2]
    assert got["update"] == ["ok", {}]
    assert got["chained"]
    assert got["onlineAt"]
    assert got["left"] == ["bob:w"]
    # Joins at the same time come in one diff: metas are counted, not calls.
    joined: Counter[str] = Counter()
    for key, metas in got["joins"]:
        joined[key] += metas
    assert joined == {"ada:1": 2, "ada:2": 2, "ada:child": 1, "bob:w": 1}


def test_auth_token_is_accepted_in_place_of_user_token(any_server: Server) -> None:
    got = node("talk", arguments(any_server, auth=True, room="auth"))

    assert got["join"] == ["ok", {}]


def test_invalid_tokens_are_refused(any_server: Server) -> None:
    expiry = int(time.time()) + TTL
    bad = {
        "garbage": "garbage",
        "expired": jwt_tokens.mint_room("refused", -60),
        "other room": jwt_tokens.mint_room("other", TTL),
        "other user": jwt_tokens.mint_room("refused", TTL, user_id="bob"),
        "foreign": jwt.encode({"room_id": "refused", "exp": expiry}, "x" * 32, "HS256"),
        "user token": jwt_tokens.mint_user("ada", TTL),
    }

    got = node("refusals", arguments(any_server, tokens=bad, room="refused"))

    assert (got["open"], got["status"]) == (False, 403)
    refused = {
        name: (status, response["reason"])
        for name, (status, response) in got["joins"].items()
    }
    assert refused == dict.fromkeys(bad, ("error", "unauthorized"))


def test_half_a_surrogate_pair_closes_neither_the_socket_nor_other_rooms(
    any_server: Server,
) -> None:
    more = {"other": "other", "other_token": jwt_tokens.mint_room("other", TTL)}

    got = node("halves", arguments(any_server, room="halves", **more))

    assert (got["opens"], got["closes"]) == (1, [])
    # The client's own retries: at once, after 1 s, after 2 s more.
    assert 1 <= got["joins"] <= 4
    assert got["good"] == got["after"] == ["ok", {}]
    assert got["state"] == "joined"
    for status, response in (got["bad"], got["message"]):
        assert (status, response["reason"]) == ("error", "invalid_payload")
        assert "surrogate" in response["message"]


def test_a_client_that_fails_after_each_connect_is_slowed_down(
    any_server: Server,
) -> None:
    # Its own user: the delay stays for the scenarios that follow.
    users = {name: jwt_tokens.mint_user(name, TTL) for name in ("looper", "eve")}

    got = node("loop", arguments(any_server, room="loop", **users))

    # 20 are not delayed. Then each waits twice as long as the one before, up to 5 s.
    assert got["first"] <= 27
    assert got["then"] <= 3
    assert got["bob"] == got["after"] == ["ok", {}]
    assert got["eve"] < 1_000


def test_a_member_cannot_send_replies_in_place_of_the_server(
    any_server: Server,
) -> None:
    got = node("forge", arguments(any_server, room="forge"))

    assert got["joins"] == [["ok", {}], ["ok", {}]]
    assert len(got["forgeries"]) == 6
    for status, response in got["forgeries"]:
        assert (status, response["reason"]) == ("error", "reserved_event")
        assert "chan_reply" in response["message"]
    # A push that never reached the server ends with a timeout.
    assert got["asked"][0] == "timeout"
    assert got["state"] == "joined"


def test_a_second_channel_object_replaces_the_first(any_server: Server) -> None:
    got = node("twice", arguments(any_server, room="twice"))

    assert got["second"] == got["push"] == ["ok", {}]
    assert (got["firstClosed"], got["secondClosed"]) == (1, 0)
    assert got["states"] == ["closed", "joined"]


def test_the_old_client_counts_each_member_once(any_server: Server) -> None:
    got = node("old", arguments(any_server, room="old"))

    assert got["join"] == got["push"] == ["ok", {}]
    assert got["joins"] == {"ada:1": 1, "ada:2": 1, "ada:3": 1, "bob:b": 1}
    assert got["order"][:2] == ["state", "diff"]
    assert got["order"].count("state") == 1
    assert got["metas"] == [1, 1, 1]
    assert got["received"] == [1, 2]


def test_the_web_client_of_the_original_service_works(any_server: Server) -> None:
    got = node("original", arguments(any_server, room="original"))

    ada = {"user_id": "ada", "session": "ada:4711"}
    assert got["status"] == 200
    assert [(message["type"], message.get("from")) for message in got["bob"]] == [
        ("SIGNAL", ada),
        ("SIGNAL", ada),
        ("CHAT", ada),
        ("ROOM_UPDATED", None),
    ]
    assert [message["type"] for message in got["ada"]] == ["ANSWER", "ROOM_UPDATED"]


def test_binary_payloads_go_both_ways(beam_server: Serve) -> None:
    got = node("binary", arguments(beam_server("conformance")))

    assert got["echo"] == ["ok", [0, 1, 255]]
    assert (got["pushed"], got["received"]) == ([[7]], [[8, 9]])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_rejoins_after_a_restart(beam_server: Serve, kind: str) -> None:
    server = beam_server(kind)
    scenario = await asyncio.create_subprocess_exec(
        find_node(),
        "restart.mjs",
        arguments(server),
        cwd=NODE_FOLDER,
        stdout=asyncio.subprocess.PIPE,
    )
    assert scenario.stdout is not None
    assert await scenario.stdout.readline() == b"joined\n"

    await asyncio.to_thread(server.restart)
    assert await scenario.stdout.readline() == b"rejoined\n"
    answer = httpx.post(
        f"{server.url}/api/v1/push_room_event",
        json={"room_id": ROOM, "payload": {"n": 1}},
        headers={"secret": "dev-secret"},
    )

    assert answer.status_code == 200
    got = json.loads(await scenario.stdout.readline())
    await scenario.wait()
    assert got == {"opens": 2, "received": [{"n": 1}], "keys": ["ada:1"]}
