"""The client for Python backends: requests, retries, exceptions."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from beam_client import (
    AsyncBeam,
    Beam,
    BeamError,
    Event,
    Member,
    Room,
    RoomDetails,
    Unavailable,
    mint_room,
    mint_user,
)
from django.conf import settings as django_settings

from rooms.auth import grants, verifier
from tests.conftest import Serve
from tests.journeys.test_cluster import Room as Listener
from tests.journeys.test_server import join
from tests.processes import RedisServer

SECRET = "dev-secret"
HTML = httpx.Response(200, html="<html>Sign in</html>")
DETAILS = {"room_id": "r", "sessions": 2, "users": 1, "open": True, "limits": {}}


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the client, which do not wait."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("beam_client.client.time.sleep", pauses.append)
    monkeypatch.setattr("beam_client.async_client.asyncio.sleep", sleep)
    return pauses


class Script:
    """A server that sends the given answers: a status, headers, a body, or an error.

    An answer may also be an `httpx.Response`.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            # A new response: httpx binds one to the client that read it.
            headers, content = answer.headers, answer.content
            return httpx.Response(answer.status_code, headers=headers, content=content)
        if isinstance(answer, dict):
            return httpx.Response(200, json=answer)
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        fields = {"a": ["is missing"]}
        body = {"error": {"code": "some_code", "message": "why", "fields": fields}}
        return httpx.Response(
            status, headers=headers, json=body if status > 399 else None
        )

    def beam(self, **options: Any) -> Beam:
        """A client of this server."""
        transport = httpx.MockTransport(self)
        return Beam("http://beam", secret="s", transport=transport, **options)

    def async_beam(self, **options: Any) -> AsyncBeam:
        """An async client of this server."""
        transport = httpx.MockTransport(self)
        return AsyncBeam("http://beam", key="k", transport=transport, **options)


REFUSED = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answers",
    [
        (503, 200),
        (REFUSED, 200),
        (503, REFUSED, 200),
        (429, 503, 200),
        (502, 504, 200),
        (httpx.ReadTimeout("slow"), 200),
        (httpx.DecodingError("garbled"), 200),
    ],
)
async def test_retries_have_the_same_idempotency_key(
    no_pauses: list[float], answers: tuple[Any, ...]
) -> None:
    server = Script(*answers)
    server.beam().publish("r")
    other = Script(*answers)
    await other.async_beam().publish("r")

    for script in (server, other):
        keys = {request.headers["Idempotency-Key"] for request in script.requests}
        assert len(script.requests) == len(answers)
        assert len(keys) == 1
    assert len(no_pauses) == 2 * (len(answers) - 1)
    assert server.requests[0].headers["secret"] == "s"
    assert other.requests[0].headers["Authorization"] == "Bearer k"


def test_every_call_has_its_own_idempotency_key() -> None:
    server = Script(200, 200)
    beam = server.beam()

    beam.publish("r")
    beam.publish("r")

    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert len(keys) == 2


async def test_the_pause_is_that_of_retry_after(no_pauses: list[float]) -> None:
    answers = ((429, {"Retry-After": "20"}), (503, {"Retry-After": "7"}), 200)
    Script(*answers).beam().publish("r")
    await Script(*answers).async_beam().publish("r")

    assert no_pauses == [20.0, 7.0, 20.0, 7.0]


def test_retry_after_may_be_a_date(no_pauses: list[float]) -> None:
    def answer(seconds: float) -> tuple[int, dict[str, str]]:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        return (503, {"Retry-After": format_datetime(at, usegmt=True)})

    Script(answer(25), answer(-1_000), 200).beam().publish("r")

    assert 20 < no_pauses[0] <= 25
    assert no_pauses[1] == 0


async def test_a_retry_after_above_max_wait_raises_at_once(
    no_pauses: list[float],
) -> None:
    answers = (429, {"Retry-After": "31"})
    server = Script(answers)
    with pytest.raises(Unavailable, match="429 some_code: why") as caught:
        server.beam().publish("r")
    assert caught.value.retry_after == 31
    with pytest.raises(Unavailable):
        await Script(answers).async_beam().publish("r")
    with pytest.raises(Unavailable):
        Script((429, {"Retry-After": "9" * 400})).beam(max_wait=240).publish("r")

    assert no_pauses == []
    assert len(server.requests) == 1


async def test_max_wait_limits_the_sum_of_all_pauses(
    no_pauses: list[float],
) -> None:
    answers = ((429, {"Retry-After": "6"}), (429, {"Retry-After": "5"}))
    beam = Script(*answers, *answers).beam(max_wait=10)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            beam.publish("r")
        assert caught.value.retry_after == 5
    with pytest.raises(Unavailable):
        await Script(*answers).async_beam(max_wait=10).publish("r")

    assert no_pauses == [6.0, 6.0, 6.0]


@pytest.mark.parametrize("header", ["soon", "²", "-3", "1.5", ""])
def test_an_invalid_retry_after_is_ignored(no_pauses: list[float], header: str) -> None:
    Script((503, {"Retry-After": header.encode()}), 200).beam().publish("r")

    assert 0 < no_pauses[0] <= 0.2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
async def test_other_statuses_are_raised_at_once(status: int) -> None:
    server = Script(status)
    with pytest.raises(BeamError) as caught:
        server.beam().publish("r")
    with pytest.raises(BeamError):
        await Script(status).async_beam().publish("r")

    error = caught.value
    assert (error.status, error.code, error.message) == (status, "some_code", "why")
    assert error.fields == {"a": ["is missing"]}
    assert not isinstance(error, Unavailable)
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [429, 502, 503, 504, REFUSED])
async def test_the_last_try_raises_the_error(
    no_pauses: list[float], answer: Any
) -> None:
    server = Script(*[answer] * 3)
    with pytest.raises(Unavailable):
        server.beam().publish("r")
    with pytest.raises(Unavailable):
        await Script(*[answer] * 5).async_beam(tries=5).publish("r")

    assert server.answers == []
    assert len(no_pauses) == 2 + 4


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_an_error(status: int) -> None:
    answer = (status, {"Location": "https://beam.example.com/"})
    server = Script(answer)
    with pytest.raises(
        BeamError, match=r"check that the URL is the one of Beam"
    ) as caught:
        server.beam().publish("r")
    with pytest.raises(BeamError):
        await Script(answer).async_beam().publish("r")

    assert (caught.value.status, caught.value.code) == (status, "redirected")
    assert "https://beam.example.com/" in str(caught.value)
    assert len(server.requests) == 1


CALLS: dict[str, tuple[Any, ...]] = {
    "publish": ("r",),
    "publish_batch": ([Event("r")],),
    "room": ("r",),
    "presence": ("r",),
    "close_room": ("r",),
    "open_room": ("r",),
    "disconnect": ("u",),
    "processes": (),
}


async def every_call(answer: Any) -> dict[str, BeamError]:
    """The error that each call of both clients raises for an answer."""
    caught = {}
    for name, given in CALLS.items():
        with pytest.raises(BeamError) as error:
            getattr(Script(answer).beam(), name)(*given)
        caught[name] = error.value
        with pytest.raises(BeamError):
            await getattr(Script(answer).async_beam(), name)(*given)
    with pytest.raises(BeamError) as error:
        list(Script(answer).beam().rooms())
    caught["rooms"] = error.value
    with pytest.raises(BeamError):
        [room async for room in Script(answer).async_beam().rooms()]
    with pytest.raises(BeamError) as error:
        Script(answer).beam().remove("r", user_id="u")
    caught["remove"] = error.value
    return caught


async def test_an_html_page_is_an_error() -> None:
    for error in (await every_call(HTML)).values():
        assert (error.status, error.code) == (200, "unexpected")
        assert "text/html" in error.message


@pytest.mark.parametrize("body", [[], "ok", 1])
async def test_json_of_another_shape_is_an_error(body: Any) -> None:
    for error in (await every_call(httpx.Response(200, json=body))).values():
        assert (error.status, error.code) == (200, "unexpected")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("publish_batch", {}),
        ("publish_batch", {"results": None}),
        ("publish_batch", {"results": ["ok"]}),
        ("room", {}),
        ("room", {"room_id": "r"}),
        ("open_room", {"room_id": "r"}),
        ("presence", DETAILS),
        ("presence", {"members": [{"session": "u:1"}]}),
        ("close_room", {"removed": None}),
        ("disconnect", 200),
        ("processes", {"processes": {}}),
    ],
)
def test_an_answer_with_a_missing_field_is_an_error(name: str, answer: Any) -> None:
    with pytest.raises(BeamError) as caught:
        getattr(Script(answer).beam(), name)(*CALLS[name])

    assert (caught.value.status, caught.value.code) == (200, "unexpected")


@pytest.mark.parametrize("answer", [{"rooms": []}, {"rooms": [{}], "cursor": None}])
def test_a_list_of_rooms_does_not_end_early(answer: Any) -> None:
    with pytest.raises(BeamError):
        list(Script(answer).beam().rooms())


def test_an_event_is_answered_without_a_body() -> None:
    Script(200, 204, {}, {"new": 1}).beam().publish("r")


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(
    "body",
    [
        [],
        "no",
        None,
        {},
        {"error": ["a"]},
        {"error": "no"},
        {"error": None},
        {"error": {"code": None, "message": None, "fields": ["a"]}},
    ],
)
async def test_an_error_of_any_shape_is_an_error(status: int, body: Any) -> None:
    errors = await every_call(httpx.Response(status, json=body))

    for error in errors.values():
        assert (error.status, error.code) == (status, "unknown")
        assert error.message == "Beam gave no reason"
        assert error.fields is None


def test_an_error_that_is_not_json_is_an_error() -> None:
    with pytest.raises(BeamError) as caught:
        Script(httpx.Response(500, html="<html>")).beam().publish("r")

    assert (caught.value.status, caught.value.code) == (500, "unknown")


async def test_unknown_fields_are_ignored() -> None:
    new = {"new": 1}
    room = Room("r", 2, 1)
    member = {"session": "u:1", "user_id": "u", "metas": [{"a": 1}]}
    page = {"rooms": [vars(room) | new], "cursor": None} | new
    present = {"room_id": "r", "members": [member | new]} | new
    answers = (page, DETAILS | new, DETAILS | new, present, {"removed": 3} | new)

    beam = Script(*answers).beam()
    assert list(beam.rooms()) == [room]
    assert beam.room("r") == RoomDetails("r", 2, 1, True, {}) == beam.open_room("r")
    assert beam.presence("r") == [Member("u:1", "u", [{"a": 1}])]
    assert beam.close_room("r") == 3
    other = Script(*answers).async_beam()
    assert [one async for one in other.rooms()] == [room]
    assert (await other.room("r")) == (await other.open_room("r"))
    assert await other.presence("r") == [Member("u:1", "u", [{"a": 1}])]
    assert await other.close_room("r") == 3


def test_rooms_come_page_by_page() -> None:
    pages = (
        {"rooms": [vars(Room("a", 1, 1))], "cursor": "next"},
        {"rooms": [vars(Room("b", 1, 1))], "cursor": None},
    )
    server = Script(*pages)

    assert [room.room_id for room in server.beam().rooms("p")] == ["a", "b"]
    assert [dict(request.url.params) for request in server.requests] == [
        {"prefix": "p", "cursor": "", "limit": "1000"},
        {"prefix": "p", "cursor": "next", "limit": "1000"},
    ]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        (".", b"%2E"),
        ("..", b"%2E%2E"),
        ("...", b"..."),
        ("a.b", b"a.b"),
        ("%2E", b"%252E"),
        ("../..", b"..%2F.."),
        ("a/b é?#%", b"a%2Fb%20%C3%A9%3F%23%25"),
    ],
)
def test_an_id_is_one_segment_of_the_path(name: str, sent: bytes) -> None:
    server = Script(DETAILS, {"members": []}, {})
    beam = server.beam()

    beam.room(name)
    beam.presence(name)
    beam.disconnect(name)

    assert [request.url.raw_path for request in server.requests] == [
        b"/api/v1/rooms/" + sent,
        b"/api/v1/rooms/" + sent + b"/presence",
        b"/api/v1/users/" + sent + b"/disconnect",
    ]


async def test_an_empty_id_is_refused_before_anything_is_sent() -> None:
    for name in ("room", "presence", "close_room", "open_room", "disconnect"):
        with pytest.raises(ValueError, match="must not be empty"):
            getattr(Script().beam(), name)("")
        with pytest.raises(ValueError, match="must not be empty"):
            await getattr(Script().async_beam(), name)("")


def test_a_whole_number_is_an_id() -> None:
    server = Script(DETAILS, {}, {})
    beam = server.beam()

    beam.room(42)
    beam.publish(42, "changed")
    beam.disconnect(7)

    assert [request.url.raw_path for request in server.requests] == [
        b"/api/v1/rooms/42",
        b"/api/v1/push_room_event",
        b"/api/v1/users/7/disconnect",
    ]
    assert json.loads(server.requests[1].content)["room_id"] == 42
    assert Event(42).item()["room_id"] == 42
    assert Event([42, "a"]).item()["room_ids"] == [42, "a"]


def test_a_batch_has_all_fields_of_its_events() -> None:
    server = Script({"results": [{"status": "ok"}] * 2})
    event = Event(
        ["a", "b"], "changed", {"n": 1}, [{"user_id": "u"}], [{"session": "u:1"}]
    )

    results = server.beam().publish_batch([event, Event("c")])

    assert results == [{"status": "ok"}] * 2
    assert json.loads(server.requests[0].content) == {
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


BOTH: list[type[Beam | AsyncBeam]] = [Beam, AsyncBeam]


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "who",
    [
        {},
        {"secret": "s", "key": "k"},
        {"secret": ""},
        {"key": ""},
        {"secret": "", "key": ""},
        {"secret": None, "key": ""},
    ],
)
def test_either_a_secret_or_a_key_is_needed(
    client: type[Beam | AsyncBeam], who: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="either"):
        client("http://beam", **who)


@pytest.mark.parametrize("who", ["s\n", " s", "s\r\nX: 1", "é"])
def test_a_secret_fits_in_a_header(who: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        Beam("http://beam", secret=who)


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "beam",
        "beam.example.com:443",
        "localhost:5000",
        "//beam",
        "ws://beam",
        "http://",
        "https:beam",
        "http://beam:port",
        "http://beam?a=1",
        "http://beam/#a",
    ],
)
def test_an_invalid_url_is_refused(client: type[Beam | AsyncBeam], url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|must not have a query"):
        client(url, secret="s")


@pytest.mark.parametrize("client", BOTH)
@pytest.mark.parametrize(
    "numbers",
    [
        {"tries": 0},
        {"tries": -1},
        {"max_wait": -1},
        {"max_wait": float("nan")},
        # After this time Beam would handle a repeated request again.
        {"max_wait": 301},
    ],
)
def test_invalid_numbers_are_refused(
    client: type[Beam | AsyncBeam], numbers: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"tries must|max_wait must"):
        client("http://beam", secret="s", **numbers)


def test_one_try_is_one_try(no_pauses: list[float]) -> None:
    for answer in (503, REFUSED):
        with pytest.raises(Unavailable):
            Script(answer).beam(tries=1).publish("r")

    assert no_pauses == []


def test_the_url_may_have_a_path() -> None:
    server = Script(200)
    transport = httpx.MockTransport(server)
    Beam("http://proxy/beam/", secret="s", transport=transport).publish("r")

    assert server.requests[0].url.path == "/beam/api/v1/push_room_event"


def test_either_a_user_or_a_session_is_removed() -> None:
    with pytest.raises(ValueError, match="either"):
        Script().beam().remove("r")


async def test_minted_tokens_are_valid() -> None:
    secret = django_settings.TOKEN_SECRETS[0]
    ada = grants.Identity("ada")

    assert await verifier.identify(mint_user("ada", secret=secret)) == ada
    token = mint_room(
        "r", secret=secret, user_id="ada", can=["push"], meta={"role": "host"}, ttl=60
    )
    grant = await verifier.authorize(token, "r", ada)
    assert grant.can == {"push"}
    assert grant.meta == {"role": "host"}


@pytest.mark.redis
async def test_every_call_works_with_a_real_server(
    beam_server: Serve, shared_redis: RedisServer
) -> None:
    server = beam_server(REDIS_URL=shared_redis.url)
    room = f"a/b é {secrets.token_hex(4)}"
    ada, bob = [Listener(await join(server, name, room)) for name in ("ada", "bob")]

    def moderate() -> None:
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

    await asyncio.to_thread(moderate)
    await bob.until(lambda: bob.other[:2] == [{"n": 1}, {"n": 2}], "bob's events")
    await ada.until(lambda: {"reason": "room_closed"} in ada.other, "the close")
    assert {"n": 2} not in ada.other
    assert {"reason": "removed"} in bob.other
    await asyncio.wait_for(bob.socket.wait_closed(), 5)
    assert bob.socket.close_code == 1001
    await moderate_async(server.url, room)
    await ada.leave()


@pytest.mark.parametrize("kind", ["beam", "uvicorn"])
@pytest.mark.parametrize("name", [".", "..", "%2E", "../.."])
async def test_ids_that_are_dots_arrive_unchanged(
    beam_server: Serve, kind: str, name: str
) -> None:
    server = beam_server(kind)
    ada = Listener(await join(server, name, name))

    async with AsyncBeam(server.url, secret=SECRET) as beam:
        await beam.publish(name, "changed", {"n": 1})
        assert [room async for room in beam.rooms()] == [Room(name, 1, 1)]
        assert (await beam.room(name)).sessions == 1
        [member] = await beam.presence(name)
        assert (member.session, member.user_id) == (f"{name}:1", name)
        assert await beam.close_room(name) == 1
        assert not (await beam.room(name)).open
        assert (await beam.open_room(name)).open
        assert await beam.remove(name, user_id=name) == []
        await beam.disconnect(name)

    await ada.until(lambda: {"n": 1} in ada.other, "the event")
    await asyncio.wait_for(ada.socket.wait_closed(), 5)
    assert ada.socket.close_code == 1001


async def moderate_async(url: str, room: str) -> None:
    """The same calls with the async client, in an empty room."""
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
