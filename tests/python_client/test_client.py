"""The client for Python backends: what it sends, tries again, and raises."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from beam_client import (
    AsyncBeam,
    Beam,
    BeamError,
    Event,
    Room,
    Unavailable,
    mint_room,
    mint_user,
)
from django.conf import settings as django_settings

from rooms import access, grants
from tests.conftest import Serve
from tests.journeys.test_cluster import Room as Listener
from tests.journeys.test_server import join
from tests.processes import RedisServer

SECRET = "dev-secret"
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were due; none is waited for."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("beam_client.client.time.sleep", pauses.append)
    monkeypatch.setattr("beam_client.client.asyncio.sleep", sleep)
    return pauses


class Script:
    """A server that answers by a list: a status, with headers, or an error."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        body = {"error": {"code": "some_code", "message": "why", "fields": {"a": 1}}}
        return httpx.Response(
            status, headers=headers, json=body if status > 399 else {}
        )

    def beam(self, **options: Any) -> Beam:
        """A client of it."""
        transport = httpx.MockTransport(self)
        return Beam("http://beam", secret="s", transport=transport, **options)

    def async_beam(self) -> AsyncBeam:
        """The other client of it."""
        return AsyncBeam("http://beam", key="k", transport=httpx.MockTransport(self))


REFUSED = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answers", [(503, 200), (REFUSED, 200), (503, REFUSED, 200), (429, 503, 200)]
)
async def test_what_may_help_is_tried_again_under_the_same_key(
    no_pauses: list[float], answers: tuple[Any, ...]
) -> None:
    server = Script(*answers)
    server.beam().publish("r")
    other = Script(*answers)
    await other.async_beam().publish("r")

    for script in (server, other):
        keys = {request.headers["Idempotency-Key"] for request in script.asked}
        assert len(script.asked) == len(answers)
        assert len(keys) == 1
    assert len(no_pauses) == 2 * (len(answers) - 1)
    assert server.asked[0].headers["secret"] == "s"
    assert other.asked[0].headers["Authorization"] == "Bearer k"


def test_every_request_has_a_key_of_its_own() -> None:
    server = Script(200, 200)
    beam = server.beam()

    beam.publish("r")
    beam.publish("r")

    keys = {request.headers["Idempotency-Key"] for request in server.asked}
    assert len(keys) == 2


def test_a_429_says_how_long_to_wait(no_pauses: list[float]) -> None:
    Script((429, {"Retry-After": "2"}), 200).beam().publish("r")

    assert no_pauses == [2.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
async def test_what_cannot_help_is_raised_at_once(status: int) -> None:
    server = Script(status)
    with pytest.raises(BeamError) as caught:
        server.beam().publish("r")
    with pytest.raises(BeamError):
        await Script(status).async_beam().publish("r")

    error = caught.value
    assert (error.status, error.code, error.message) == (status, "some_code", "why")
    assert error.fields == {"a": 1}
    assert not isinstance(error, Unavailable)
    assert len(server.asked) == 1


async def test_after_some_tries_it_gives_up(no_pauses: list[float]) -> None:
    for answers in ((503, 503, 503), (REFUSED, REFUSED, REFUSED)):
        with pytest.raises(Unavailable):
            Script(*answers).beam().publish("r")
        with pytest.raises(Unavailable):
            await Script(*answers).async_beam().publish("r")


def test_an_answer_that_is_no_json_is_an_error() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))

    with pytest.raises(BeamError) as caught:
        Beam("http://beam", secret="s", transport=transport).publish("r")

    assert (caught.value.status, caught.value.code) == (502, "unknown")


def test_a_batch_says_what_was_asked_for() -> None:
    server = Script((200, {}))
    server.answers = [(200, {})]
    event = Event(
        ["a", "b"], "changed", {"n": 1}, [{"user_id": "u"}], [{"session": "u:1"}]
    )

    with pytest.raises(KeyError):
        server.beam().publish_batch([event, Event("c")])

    assert json.loads(server.asked[0].content) == {
        "events": [
            {
                "room_ids": ["a", "b"],
                "event": "changed",
                "payload": {"n": 1},
                "to": [{"user_id": "u"}],
                "except": [{"session": "u:1"}],
            },
            {"room_id": "c", "event": "new_msg", "payload": {}},
        ]
    }


@pytest.mark.parametrize("who", [{}, {"secret": "s", "key": "k"}])
def test_either_a_secret_or_a_key_is_needed(who: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="either"):
        Beam("http://beam", **who)


def test_either_a_user_or_a_session_is_removed() -> None:
    with pytest.raises(ValueError, match="either"):
        Script().beam().remove("r")


async def test_minted_tokens_are_good() -> None:
    secret = django_settings.TOKEN_SECRETS[0]
    ada = grants.Identity("ada")

    assert await access.identify(mint_user("ada", secret=secret)) == ada
    token = mint_room(
        "r", secret=secret, user_id="ada", can=["push"], meta={"role": "host"}, ttl=60
    )
    grant = await access.enter(token, "r", ada)
    assert grant.can == {"push"}
    assert grant.meta == {"role": "host"}


@pytest.mark.redis
async def test_everything_against_a_real_server(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server(REDIS_URL=shared_redis.url)
    room = f"a/b é {secrets.token_hex(4)}"
    ada, bob = [Listener(await join(server, name, room)) for name in ("ada", "bob")]

    def steer() -> None:
        with Beam(server.url, secret=SECRET) as beam:
            beam.publish(room, "changed", {"n": 1})
            results = beam.publish_batch(
                [
                    Event(room, payload={"n": 2}, to=[{"user_id": "bob"}]),
                    Event("x" * 201),
                ]
            )
            assert [result["status"] for result in results] == ["ok", "error"]
            assert list(beam.rooms(room)) == [Room(room, 2, 2)]
            details = beam.room(room)
            assert (details.sessions, details.open) == (2, True)
            sessions = sorted(member.session for member in beam.presence(room))
            assert sessions == ["ada:1", "bob:1"]
            assert beam.remove(room, session="bob:1", block_seconds=60) == ["bob:1"]
            assert beam.close_room(room) == 1
            assert not beam.room(room).open
            assert beam.open_room(room).open
            beam.disconnect("bob")
            assert len(beam.processes()) >= 1

    await asyncio.to_thread(steer)
    await bob.until(lambda: bob.other[:2] == [{"n": 1}, {"n": 2}], "bob's events")
    await ada.until(lambda: {"reason": "room_closed"} in ada.other, "the close")
    assert {"n": 2} not in ada.other
    assert {"reason": "removed"} in bob.other
    await asyncio.wait_for(bob.socket.wait_closed(), 5)
    assert bob.socket.close_code == 1001
    await steer_too(server.url, room)
    await ada.leave()


async def steer_too(url: str, room: str) -> None:
    """The same with the other client, in an empty room."""
    async with AsyncBeam(url, secret=SECRET) as beam:
        await beam.publish(room)
        assert await beam.publish_batch([Event(room)]) == [{"status": "ok"}]
        assert [one async for one in beam.rooms(room)] == []
        assert await beam.presence(room) == []
        assert (await beam.room(room)).sessions == 0
        assert await beam.remove(room, user_id="ada") == []
        assert await beam.close_room(room) == 0
        assert (await beam.open_room(room)).open
        await beam.disconnect("nobody")
        assert len(await beam.processes()) >= 1
