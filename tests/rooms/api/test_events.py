"""The backend's door: the original's calls, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError
from django.test import AsyncClient, RequestFactory
from pytest_django.fixtures import Settings

from beam import database
from beam.asgi import application
from beam.telemetry import metrics
from rooms import demo
from rooms.messaging import publisher
from rooms.messaging.connections import connections
from rooms.protocol.event_names import RESERVED_RULE
from tests.clients import connected

PUSH = "/api/v1/push_room_event"
SECRET = {"secret": django_settings.API_SECRETS[0]}

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


async def post(
    http: AsyncClient, body: Any, headers: dict[str, str] | None = None
) -> Any:
    """POST a body, JSON unless it is text, to `push_room_event`."""
    data = body if isinstance(body, str) else json.dumps(body)
    given = SECRET if headers is None else headers
    return await http.post(
        PUSH, data=data, content_type="application/json", headers=given
    )


async def test_an_event_reaches_everybody_in_the_room(
    async_client: AsyncClient,
) -> None:
    ada, bob, other = await connected("ada", "bob", "eve")
    await ada.join("doc")
    await bob.join("doc")
    await other.join("doc2")

    answer = await post(
        async_client,
        {"room_id": "doc", "event": "changed", "payload": {"rev": 2}},
    )

    assert (answer.status_code, answer.content) == (200, b"")
    assert await ada.event("changed") == {"rev": 2}
    assert await bob.event("changed") == {"rev": 2}
    assert await other.is_silent()


async def test_event_and_payload_have_defaults(async_client: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("doc")

    answer = await post(async_client, {"room_id": "doc"})

    assert answer.status_code == 200
    assert await ada.event("new_msg") == {}


async def test_a_room_without_members_is_no_error(async_client: AsyncClient) -> None:
    answer = await post(async_client, {"room_id": "nobody/é", "payload": {"a": 1}})

    assert answer.status_code == 200


async def test_a_form_body_works_as_it_did(async_client: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("form")

    answer = await async_client.post(
        PUSH,
        data="room_id=form&event=changed&payload%5Ba%5D=1&payload%5Bb%5D%5Bc%5D=x",
        content_type="application/x-www-form-urlencoded",
        headers=SECRET,
    )

    assert answer.status_code == 200
    assert await ada.event("changed") == {"a": "1", "b": {"c": "x"}}


async def test_health_answers_with_nothing(async_client: AsyncClient) -> None:
    answer = await async_client.get("/api/v1/health", headers=SECRET)

    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"secret": ""},
        {"secret": "wrong"},
        {"secret": "ünïcode"},
        {"secret": "x" * 9},
    ],
)
async def test_a_missing_and_a_wrong_secret_look_the_same(
    async_client: AsyncClient, headers: dict[str, str]
) -> None:
    before = metrics.API_REFUSED.value

    push = await post(async_client, {"room_id": "doc"}, headers)
    health = await async_client.get("/api/v1/health", headers=headers)

    expected = {"code": "unauthorized", "message": "missing or wrong secret or API key"}
    for answer in (push, health):
        assert answer.status_code == 401
        assert answer.json() == {"error": expected}
    assert metrics.API_REFUSED.value == before + 2


async def test_an_empty_secret_lets_nobody_in(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"api_secrets": ()}

    answer = await post(async_client, {"room_id": "doc"}, {"secret": ""})

    assert answer.status_code == 401


async def test_the_secret_comes_before_the_body(async_client: AsyncClient) -> None:
    answer = await post(async_client, "no json", {})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "room_id"),
        ({"room_id": ""}, "room_id"),
        ({"room_id": None}, "room_id"),
        ({"room_id": ["a"]}, "room_id"),
        ({"room_id": {"a": 1}}, "room_id"),
        ({"room_id": True}, "room_id"),
        ({"room_id": "x" * 201}, "room_id"),
        ({"room_id": "a\nb"}, "room_id"),
        ({"room_id": "a\u0000b"}, "room_id"),
        ({"room_id": "a", "event": ""}, "event"),
        ({"room_id": "a", "event": 5}, "event"),
        ({"room_id": "a", "event": None}, "event"),
        ({"room_id": "a", "event": "x" * 201}, "event"),
        ({"room_id": "a", "payload": []}, "payload"),
        ({"room_id": "a", "payload": "x"}, "payload"),
        ({"room_id": "a", "payload": None}, "payload"),
        # What is for some must not go to everybody.
        ({"room_id": "a", "to": [{"user_id": "ada"}]}, "to"),
        ({"room_id": "a", "to": None}, "to"),
        ({"room_id": "a", "except": []}, "except"),
        ({"room_id": "a", "room_ids": ["b"]}, "room_ids"),
    ],
)
async def test_an_invalid_body_names_the_field(
    async_client: AsyncClient, body: Any, field: str
) -> None:
    answer = await post(async_client, body)

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["code"] == "invalid"
    assert list(error["fields"]) == [field]


@pytest.mark.parametrize(
    "event",
    [
        "phx_close",
        "phx_error",
        "phx_reply",
        "phx_join",
        "presence_state",
        "presence_update",
    ],
)
async def test_reserved_events_are_refused(
    async_client: AsyncClient, event: str
) -> None:
    [ada] = await connected("ada")
    await ada.join("doc")

    answer = await post(async_client, {"room_id": "doc", "event": event})

    assert answer.status_code == 400
    [message] = answer.json()["error"]["fields"]["event"]
    assert message == f"this name is reserved: {RESERVED_RULE}"
    assert await ada.is_silent()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (r'"\ud83d"', "half of a surrogate pair (line 1 column"),
        (r'{"\ud83d": 1}', "half of a surrogate pair"),
        ("NaN", "NaN and Infinity are not JSON"),
        ("-Infinity", "NaN and Infinity are not JSON"),
        ("1e400", "too large for a double"),
        ("9" * 5_000, "too large for a double"),
        ('"\x01"', "control character"),
        ("[" * 5_000 + "]" * 5_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("path", [PUSH, "/api/v1/events"])
async def test_what_is_not_json_is_explained(
    async_client: AsyncClient, path: str, value: str, says: str
) -> None:
    one = f'{{"room_id": "r", "payload": {{"x": {value}}}}}'
    body = one if path == PUSH else f'{{"events": [{one}]}}'

    answer = await async_client.post(
        path, data=body, content_type="application/json", headers=SECRET
    )

    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


async def test_a_byte_order_mark_is_explained(async_client: AsyncClient) -> None:
    answer = await post(async_client, '\ufeff{"room_id": "r"}')

    assert answer.status_code == 400
    assert "byte order mark" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", ["", "{", "no json", '{"room_id": NaN}', "[]", '"x"'])
async def test_a_malformed_body_is_a_400(async_client: AsyncClient, body: str) -> None:
    answer = await post(async_client, body)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in {"malformed", "invalid"}


async def test_a_body_nested_too_deeply_is_a_400(async_client: AsyncClient) -> None:
    nested = "[" * 20_000 + "]" * 20_000

    deep = await post(async_client, f'{{"room_id":"a","payload":{{"x":{nested}}}}}')
    deeper = await post(
        async_client, '{"room_id":"a","payload":{"x":' + "[" * 70 + "]" * 70 + "}}"
    )

    assert (deep.status_code, deeper.status_code) == (400, 400)


async def test_a_payload_above_the_limit_is_a_413(async_client: AsyncClient) -> None:
    answer = await post(async_client, {"room_id": "a", "payload": {"x": "y" * 70_000}})

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


async def test_a_body_above_every_limit_is_a_413(async_client: AsyncClient) -> None:
    answer = await post(
        async_client, {"room_id": "a", "payload": {"x": "y" * 3_000_000}}
    )

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


async def test_another_method_is_a_405(async_client: AsyncClient) -> None:
    answer = await async_client.get(PUSH, headers=SECRET)

    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_an_unknown_path_is_a_404_in_json(async_client: AsyncClient) -> None:
    answer = await async_client.get("/api/v1/nothing")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_a_layer_that_is_away_is_a_503(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(event: Any) -> None:
        raise publisher.Unavailable("away")

    monkeypatch.setattr(publisher, "published", refuse)

    answer = await post(async_client, {"room_id": "doc"})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"


async def test_healthz_is_open(async_client: AsyncClient) -> None:
    answer = await async_client.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_names_every_check(async_client: AsyncClient) -> None:
    answer = await async_client.get("/readyz")

    checks = {"database": "ok", "server": "ok", "hub": "ok"}
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": checks}


async def test_readyz_says_what_is_wrong(
    async_client: AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr(connections, "draining", True)

    answer = await async_client.get("/readyz")

    body = answer.json()
    assert answer.status_code == 503
    assert body["status"] == "unready"
    assert body["checks"]["server"] == "draining"
    assert body["checks"]["redis"] == "ConnectionError"
    assert body["checks"]["hub"] == "ok"


async def test_readyz_says_that_the_database_is_away(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def cursor(self) -> Any:
            raise OperationalError("no")

    monkeypatch.setattr(database, "connection", Away())
    monkeypatch.setattr(database, "checks", database.Checks(is_migrated=True))

    answer = await async_client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "OperationalError"


async def test_readyz_does_not_wait_for_a_database_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    class Hanging:
        def cursor(self) -> Any:
            answered.wait(10)
            raise OperationalError("at last")

    monkeypatch.setattr(database, "connection", Hanging())
    monkeypatch.setattr(database, "SECONDS", 0.05)
    monkeypatch.setattr(database, "checks", database.Checks(is_migrated=True))

    # The server's own road: Django's test client waits for the thread itself.
    server = httpx.ASGITransport(application)
    try:
        async with (
            httpx.AsyncClient(transport=server, base_url="http://beam") as http,
            asyncio.timeout(5),
        ):
            # The second one waits for the first one's thread.
            answers = [await http.get("/readyz") for _ in range(2)]
    finally:
        answered.set()

    for answer in answers:
        assert answer.status_code == 503
        assert answer.json()["checks"]["database"] == "TimeoutError"
        assert answer.json()["checks"]["hub"] == "ok"


async def test_readyz_says_that_migrations_are_missing_until_they_are_not(
    async_client: AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    clock: Callable[[float], None],
) -> None:
    missing, looks = ["rooms.0001"], 0

    def unapplied() -> list[str]:
        nonlocal looks
        looks += 1
        return missing

    monkeypatch.setattr(database, "unapplied", unapplied)
    monkeypatch.setattr(database, "checks", database.Checks())

    answers = [await async_client.get("/readyz") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {503}
    told = answers[0].json()["checks"]["database"]
    assert told == "not migrated: run manage.py migrate"
    # Many that ask at once cost one look.
    assert looks == 1

    missing.clear()
    for _ in range(3):
        clock(database.KEPT_SECONDS + 0.1)
        assert (await async_client.get("/readyz")).status_code == 200
    assert looks == 2


PROCESSES = "/api/v1/processes"


async def test_a_process_tells_of_itself(async_client: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("one")
    await ada.join("two")

    answer = await async_client.get(PROCESSES, headers=SECRET)

    assert answer.status_code == 200
    [process] = answer.json()["processes"]
    assert 0 <= time.time() - process.pop("started") < 3_600
    assert process == {
        "id": "local",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "sockets": 1,
        "rooms": 2,
    }


async def test_processes_are_for_those_who_know_the_secret(
    async_client: AsyncClient,
) -> None:
    for headers in ({}, {"secret": "wrong"}):
        answer = await async_client.get(PROCESSES, headers=headers)

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


async def test_processes_cannot_be_told_while_redis_is_away(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"redis_url": "redis://127.0.0.1:1/0"}

    answer = await async_client.get(PROCESSES, headers=SECRET)

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"


async def test_a_multipart_body_works_as_it_did(async_client: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("form")

    answer = await async_client.post(
        PUSH,
        data={"room_id": "form", "event": "changed", "payload[a]": "1"},
        headers=SECRET,
    )

    assert answer.status_code == 200
    assert await ada.event("changed") == {"a": "1"}


async def test_the_demo_is_not_there_in_production(async_client: AsyncClient) -> None:
    for path in ("/", "/demo/token?user_id=ada&room_id=r"):
        assert (await async_client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?user_id=ada&room_id=é/x", 200),
        ("?user_id=ada&room_id=", 400),
        ("?room_id=r", 400),
    ],
)
async def test_the_demo_hands_out_tokens_in_development(
    rf: RequestFactory, query: str, status: int
) -> None:
    answer = demo.token(rf.get(f"/demo/token{query}"))

    assert answer.status_code == status
    if status == 200:
        assert set(json.loads(answer.content)) == {"user_token", "room_token"}


EVENTS = "/api/v1/events"


async def post_events(http: AsyncClient, *items: Any, **headers: str) -> Any:
    """POST a batch."""
    return await http.post(
        EVENTS,
        data=json.dumps({"events": items}),
        content_type="application/json",
        headers=headers or SECRET,
    )


async def test_a_batch_reaches_its_rooms_in_order(async_client: AsyncClient) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("a")
    await bob.join("b")

    answer = await post_events(
        async_client,
        {"room_id": "a", "event": "first", "payload": {"n": 1}},
        {"room_ids": ["a", "b"], "event": "second", "payload": {"n": 2}},
    )

    assert answer.status_code == 200
    assert answer.json() == {"results": [{"status": "ok"}, {"status": "ok"}]}
    assert (await ada.get())[3:] == ["first", {"n": 1}]
    assert (await ada.get())[3:] == ["second", {"n": 2}]
    assert (await bob.get())[3:] == ["second", {"n": 2}]


async def test_a_batch_can_name_members_and_leave_some_out(
    async_client: AsyncClient,
) -> None:
    ada, bob, eve = await connected("ada", "bob", "eve")
    for client in (ada, bob, eve):
        await client.join("named")

    answer = await post_events(
        async_client,
        {"room_id": "named", "event": "some", "to": [{"user_id": "ada"}]},
        {"room_id": "named", "event": "rest", "except": [{"session": "ada:1"}]},
        {
            "room_id": "named",
            "event": "one",
            "to": [{"user_id": "ada"}, {"user_id": "bob"}],
            "except": [{"user_id": "ada"}],
        },
        {"room_id": "named", "event": "all"},
    )

    assert answer.status_code == 200
    heard: dict[str, list[str]] = {}
    for name, client in {"ada": ada, "bob": bob, "eve": eve}.items():
        heard[name] = []
        while "all" not in heard[name]:
            heard[name].append((await client.get())[3])
    assert [n for n in heard["ada"] if n != "presence_diff"] == ["some", "all"]
    assert [n for n in heard["bob"] if n != "presence_diff"] == ["rest", "one", "all"]
    assert [n for n in heard["eve"] if n != "presence_diff"] == ["rest", "all"]


async def test_what_is_not_valid_in_a_batch_does_not_hold_up_the_rest(
    async_client: AsyncClient,
) -> None:
    [ada] = await connected("ada")
    await ada.join("a")

    answer = await post_events(
        async_client,
        {"room_id": "a", "event": "phx_close"},
        {"room_id": "a", "event": "good"},
        7,
    )

    first, second, third = answer.json()["results"]
    assert answer.status_code == 200
    assert first["error"]["code"] == "invalid"
    assert "this name is reserved" in first["error"]["fields"]["event"][0]
    assert second == {"status": "ok"}
    assert third["status"] == "error"
    assert (await ada.get())[3] == "good"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "malformed"),
        ("[]", 400, "invalid"),
        ("{}", 400, "invalid"),
        ('{"events": []}', 400, "invalid"),
        ('{"events": {}}', 400, "invalid"),
        ('{"events": [{"room_ids": %s}]}' % (["a"] * 1_001), 400, "invalid"),
        ('{"events": [{"room_id": "a"}]}' + " " * 1_048_576, 413, "too_large"),
    ],
)
async def test_a_batch_that_is_none_is_refused_as_a_whole(
    async_client: AsyncClient, body: str, status: int, code: str
) -> None:
    answer = await async_client.post(
        EVENTS,
        data=body.replace("'", '"'),
        content_type="application/json",
        headers=SECRET,
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_batch_needs_the_secret(async_client: AsyncClient) -> None:
    answer = await post_events(async_client, {"room_id": "a"}, secret="wrong")

    assert answer.status_code == 401


async def test_a_batch_that_nobody_takes_is_answered_with_503(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(event: Any) -> Any:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(publisher.Unavailable())
        return failed

    monkeypatch.setattr(publisher, "publish", refuse)

    answer = await post_events(async_client, {"room_id": "a"}, {"room_id": "b"})
    mixed = await post_events(async_client, {"room_id": "a"}, {"room_id": ""})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"
    codes = [result["error"]["code"] for result in mixed.json()["results"]]
    assert (mixed.status_code, codes) == (200, ["unavailable", "invalid"])
