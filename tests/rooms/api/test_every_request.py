"""Every request of the API, on the road that the server takes: each refusal there is.

The application itself is asked, without Django's test client, which takes another
way to the views.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.urls import get_resolver
from pytest_django.fixtures import Settings

from beam.asgi import application
from beam.telemetry import metrics
from rooms.api import authentication, health
from rooms.api.errors import trouble
from rooms.auth import api_keys
from rooms.messaging import publisher
from rooms.messaging.background_tasks import background_tasks
from tests.clients import connected

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]

SECRET = {"secret": "dev-secret"}
EVENT = {"room_id": "r", "event": "changed"}
# Method, path, a body that is good, the scope that a key needs.
REQUESTS: list[tuple[str, str, Any, str | None]] = [
    ("POST", "/api/v1/push_room_event", EVENT, "events:write"),
    ("POST", "/api/v1/events", {"events": [EVENT]}, "events:write"),
    ("GET", "/api/v1/health", None, None),
    ("GET", "/api/v1/processes", None, "rooms:read"),
    ("GET", "/api/v1/rooms", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r/presence", None, "rooms:read"),
    ("GET", "/api/v1/rooms/r/history", None, "rooms:read"),
    ("POST", "/api/v1/rooms/r/remove", {"user_id": "ada"}, "rooms:manage"),
    ("POST", "/api/v1/rooms/r/close", {}, "rooms:manage"),
    ("POST", "/api/v1/rooms/r/open", {}, "rooms:manage"),
    ("POST", "/api/v1/users/ada/disconnect", {}, "rooms:manage"),
    ("GET", "/metrics", None, "metrics:read"),
]


def each(requests: list[tuple[str, str, Any, str | None]]) -> pytest.MarkDecorator:
    """The test is run for each of these requests."""
    names = [f"{method} {path}" for method, path, _, _ in requests]
    fields = ("method", "path", "body", "scope")
    return pytest.mark.parametrize(fields, requests, ids=names)


every = each(REQUESTS)
every_post = each([r for r in REQUESTS if r[0] == "POST"])
with_body = each([r for r in REQUESTS if r[2]])
with_id = each([r for r in REQUESTS if "/rooms/r" in r[1] or "/users/" in r[1]])


@pytest.fixture(autouse=True)
def fresh() -> None:
    """No key is known, no rate is used up."""
    api_keys.keyring.forget()
    authentication._paces().clear()


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    """Asks the application."""
    transport = httpx.ASGITransport(app=application, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://beam") as http:
        yield http


def code_of(answer: httpx.Response, status: int) -> str:
    """The code of an error, whose shape is that of all."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert error["message"]
    assert set(error) <= {"code", "message", "fields"}
    if "fields" in error:
        for texts in error["fields"].values():
            assert texts
            assert all(type(text) is str for text in texts)
    return str(error["code"])


def test_every_route_is_here() -> None:
    routes = {str(route.pattern) for route in get_resolver("rooms.urls").url_patterns}
    asked = {
        path.replace("rooms/r", "rooms/<id:room_id>") for _, path, _, _ in REQUESTS
    }
    asked = {
        path.replace("users/ada", "users/<id:user_id>").lstrip("/") for path in asked
    }

    assert {r for r in routes if r.startswith(("api/v1/", "metrics"))} == asked


@every
async def test_it_answers(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    answer = await api.request(method, path, json=body, headers=SECRET)

    if path.endswith("/history"):
        assert code_of(answer, 404) == "history_off"
    else:
        assert answer.status_code == 200, answer.text


@every
@pytest.mark.parametrize(
    "headers",
    [{}, {"secret": "wrong"}, {"authorization": "Bearer beam_wrong"}, {"secret": ""}],
)
async def test_who_says_nothing_good_is_a_401(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    headers: dict[str, str],
) -> None:
    refused = metrics.API_REFUSED.value

    answer = await api.request(method, path, json=body, headers=headers)

    assert code_of(answer, 401) == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert metrics.API_REFUSED.value == refused + 1


@every
async def test_a_key_without_the_scope_is_a_403(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    create = sync_to_async(api_keys.create)
    others = [known for known in api_keys.SCOPES if known != scope]
    for scopes in ([scope or api_keys.SCOPES[0]], others):
        key = await create(str(scopes), scopes)
        headers = {"authorization": f"bearer {key}"}
        answer = await api.request(method, path, json=body, headers=headers)
        if scope is None or scope in scopes:
            assert answer.status_code in (200, 404), answer.text
        else:
            assert code_of(answer, 403) == "forbidden"
            assert scope in answer.json()["error"]["message"]


@every
@pytest.mark.parametrize(
    "odd", ["PUT", "DELETE", "PATCH", "TRACE", "ANSWER", "_POST", "SETUP"]
)
async def test_another_method_is_a_405(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    odd: str,
) -> None:
    other = "GET" if method == "POST" else "POST"
    allowed = "POST, OPTIONS" if method == "POST" else "GET, HEAD, OPTIONS"
    for wrong in (odd, other):
        answer = await api.request(wrong, path, headers=SECRET)
        assert code_of(answer, 405) == "method_not_allowed"
        assert answer.headers["allow"] == allowed
        assert allowed in answer.json()["error"]["message"]


@every
async def test_every_method_of_allow_is_answered(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    options = await api.options(path, headers=SECRET)

    assert options.status_code == 200
    assert not options.content
    allowed = options.headers["allow"].split(", ")
    assert method in allowed
    assert "OPTIONS" in allowed
    for each_allowed in allowed:
        answer = await api.request(each_allowed, path, json=body, headers=SECRET)
        assert answer.status_code in (200, 404)
    assert (await api.options(path)).status_code == 401


READ = [path for method, path, _, _ in REQUESTS if method == "GET"]
OPEN = ["/healthz", "/readyz", "/api/schema", "/api/docs"]


@pytest.mark.parametrize("path", [*READ, *OPEN])
@pytest.mark.parametrize("headers", [SECRET, {}])
async def test_head_has_the_headers_of_get_and_no_body(
    api: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    get = await api.get(path, headers=headers)
    head = await api.head(path, headers=headers)

    assert head.status_code == get.status_code
    assert head.content == b""
    changing = {"x-request-id", "set-cookie"}
    if path == "/metrics":
        # Its figures go on.
        changing.add("content-length")
    assert {n: v for n, v in head.headers.items() if n not in changing} == {
        n: v for n, v in get.headers.items() if n not in changing
    }
    assert int(head.headers["content-length"]) > 0 or not get.content


@pytest.mark.parametrize("path", OPEN)
async def test_what_is_open_is_only_read(api: httpx.AsyncClient, path: str) -> None:
    options = await api.options(path)
    assert (options.status_code, options.content) == (200, b"")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"
    for wrong in ("POST", "PUT", "DELETE", "SETUP"):
        missed = metrics.API_NOT_FOUND.value
        answer = await api.request(wrong, path)
        assert code_of(answer, 405) == "method_not_allowed"
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert metrics.API_NOT_FOUND.value == missed + 1


@every
@pytest.mark.parametrize("form", ["{}/", "{}//", "/{}", "//{}/", "doubled"])
async def test_slashes_at_the_ends_and_doubled_ones_do_not_matter(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    form: str,
) -> None:
    odd = path.replace("/v1/", "//v1//") if form == "doubled" else form.format(path)
    raw = httpx.URL("http://beam").copy_with(raw_path=odd.encode())

    plain = await api.request(method, path, json=body, headers=SECRET)
    answer = await api.request(method, raw, json=body, headers=SECRET)

    assert answer.status_code == plain.status_code
    kind = plain.headers.get("content-type")
    assert answer.headers.get("content-type") == kind


@pytest.mark.parametrize("path", OPEN)
@pytest.mark.parametrize("form", ["{}/", "/{}", "/{}//"])
async def test_open_paths_take_such_slashes_too(
    api: httpx.AsyncClient, path: str, form: str
) -> None:
    raw = httpx.URL("http://beam").copy_with(raw_path=form.format(path).encode())

    answer = await api.get(raw)

    assert answer.status_code == 200
    assert not answer.history


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/rooms//presence",
        "/api/v1/rooms//",
        "/api/v1/rooms///presence/",
        "/api/v1/users//disconnect",
    ],
)
async def test_an_empty_id_is_not_skipped(api: httpx.AsyncClient, path: str) -> None:
    raw = httpx.URL("http://beam").copy_with(raw_path=path.encode())

    answer = await api.get(raw, headers=SECRET)

    # A trailing slash leads to the list; any other empty id leads nowhere.
    if path == "/api/v1/rooms//":
        assert answer.json()["cursor"] is None
    else:
        assert code_of(answer, 404) == "not_found"


@pytest.mark.parametrize("room_id", ["rooms", "users", "api", "v1", "a//b", "a/"])
async def test_slashes_of_a_room_id_are_its_own(
    api: httpx.AsyncClient, room_id: str
) -> None:
    encoded = room_id.replace("/", "%2F")
    for path in (f"/api//v1/rooms/{encoded}//presence/", f"//api/v1/rooms/{encoded}/"):
        raw = httpx.URL("http://beam").copy_with(raw_path=path.encode())
        answer = await api.get(raw, headers=SECRET)
        assert answer.status_code == 200, answer.text
        assert answer.json()["room_id"] == room_id


@every
async def test_a_preflight_is_refused_with_the_reason(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    invalid = metrics.API_INVALID.value
    headers = {
        "origin": "https://app.example",
        "access-control-request-method": method,
        "access-control-request-headers": "secret, content-type",
    }

    answer = await api.options(path, headers=headers)

    assert code_of(answer, 403) == "forbidden"
    assert "for servers" in answer.json()["error"]["message"]
    assert "access-control-allow-origin" not in answer.headers
    assert metrics.API_INVALID.value == invalid + 1


@every
async def test_above_the_rate_it_is_a_429(
    api: httpx.AsyncClient,
    settings: Settings,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
) -> None:
    settings.BEAM = settings.BEAM | {"api_rate": 0.1, "api_burst": 0.1}
    limited = metrics.API_LIMITED.value

    answer = await api.request(method, path, json=body, headers=SECRET)

    assert code_of(answer, 429) == "rate_limited"
    assert int(answer.headers["retry-after"]) >= 1
    assert metrics.API_LIMITED.value == limited + 1


@with_body
@pytest.mark.parametrize("data", [b"{", b"[1", b'{"a": NaN}', b"\xff", b"nonsense"])
async def test_what_is_no_json_is_a_400(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    data: bytes,
) -> None:
    headers = SECRET | {"content-type": "application/json"}
    invalid = metrics.API_INVALID.value

    answer = await api.request(method, path, content=data, headers=headers)

    assert code_of(answer, 400) == "malformed"
    assert metrics.API_INVALID.value == invalid + 1


@with_body
@pytest.mark.parametrize("data", ["[]", "5", "null", '"text"', "{}"])
async def test_json_that_says_nothing_useful_is_a_400(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    data: str,
) -> None:
    headers = SECRET | {"content-type": "application/json"}

    answer = await api.request(method, path, content=data, headers=headers)

    assert code_of(answer, 400) in ("invalid", "malformed")


@with_body
async def test_another_kind_of_body_is_a_415(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    headers = SECRET | {"content-type": "text/plain"}

    answer = await api.request(method, path, content=json.dumps(body), headers=headers)

    assert code_of(answer, 415) == "unsupported_media_type"
    message = answer.json()["error"]["message"]
    assert "'text/plain'" in message
    assert "application/json" in message


@with_body
async def test_a_missing_content_type_is_said(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    answer = await api.request(method, path, content=json.dumps(body), headers=SECRET)

    assert code_of(answer, 415) == "unsupported_media_type"
    message = answer.json()["error"]["message"]
    assert "the content type is missing" in message
    assert "content-type: application/json" in message


@with_body
async def test_json_that_is_called_a_form_is_said(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    headers = SECRET | {"content-type": "application/x-www-form-urlencoded"}

    for space in ("", " \n"):
        data = space + json.dumps(body)
        answer = await api.request(method, path, content=data, headers=headers)
        assert code_of(answer, 415) == "unsupported_media_type"
        assert "application/json" in answer.json()["error"]["message"]


@every_post
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x" * 500])
async def test_a_compressed_body_is_a_415(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    coding: str,
) -> None:
    headers = SECRET | {"content-type": "application/json", "content-encoding": coding}
    data = gzip.compress(json.dumps(body).encode())

    answer = await api.request(method, path, content=data, headers=headers)

    assert code_of(answer, 415) == "unsupported_media_type"
    message = answer.json()["error"]["message"]
    assert coding[:100] in message
    assert "uncompressed" in message
    assert len(message) < 200


@with_body
async def test_a_body_that_is_called_identity_is_read(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    headers = SECRET | {"content-encoding": "Identity"}

    answer = await api.request(method, path, json=body, headers=headers)

    assert answer.status_code == 200, answer.text


LONG = "x" * 201
WRONG: list[tuple[str, Any, str]] = [
    ("room_id", None, "is missing"),
    ("room_id", [None], "text or a whole number, not null"),
    ("room_id", [True], "text or a whole number, not a boolean"),
    ("room_id", [1.5], "text or a whole number, not a number with a fraction"),
    ("room_id", [["r"]], "text or a whole number, not a list"),
    ("room_id", [""], "1 to 200 characters, not 0"),
    ("room_id", [LONG], "1 to 200 characters, not 201"),
    ("event", [5], "text, not a number"),
    ("event", [""], "1 to 200 characters, not 0"),
    ("event", [LONG], "1 to 200 characters, not 201"),
    ("payload", [[]], "an object, not a list. PHP's json_encode"),
    ("payload", [[1]], "an object, not a list"),
    ("payload", ["text"], "an object, not text"),
    ("payload", [None], "an object, not null"),
]


@pytest.mark.parametrize(("field", "given", "reason"), WRONG)
async def test_one_event_and_an_item_are_judged_alike(
    api: httpx.AsyncClient, field: str, given: Any, reason: str
) -> None:
    event = {name: value for name, value in EVENT.items() if name != field}
    if given is not None:
        event |= {field: given[0]}

    one = await api.post("/api/v1/push_room_event", json=event, headers=SECRET)
    body = {"events": [event]}
    many = await api.post("/api/v1/events", json=body, headers=SECRET)

    assert code_of(one, 400) == "invalid"
    [result] = many.json()["results"]
    for error in (one.json()["error"], result["error"]):
        assert list(error["fields"]) == [field]
        assert reason in error["fields"][field][0]
        assert f"{field}: " in error["message"]
        assert reason in error["message"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "the body is an object, not a list"),
        ("x", "the body is an object, not text"),
        ({}, "events: is missing"),
        ({"events": {}}, "events is a list, not an object"),
        ({"events": []}, "events is empty"),
    ],
)
async def test_a_batch_that_is_none_is_said(
    api: httpx.AsyncClient, body: Any, reason: str
) -> None:
    answer = await api.post("/api/v1/events", json=body, headers=SECRET)

    assert code_of(answer, 400) in ("invalid", "malformed")
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (5, "an item is an object, not a number"),
        ({}, "room_id: is missing, and so is room_ids"),
        ({"room_id": "a", "room_ids": ["b"]}, "not both"),
        ({"room_ids": "a"}, "room_ids is a list of room ids, not text"),
        ({"room_ids": []}, "room_ids is empty"),
        ({"room_ids": ["a", ""]}, r"room_ids[1]: a room id has 1 to 200"),
    ],
)
async def test_an_item_that_is_none_is_said(
    api: httpx.AsyncClient, item: Any, reason: str
) -> None:
    answer = await api.post("/api/v1/events", json={"events": [item]}, headers=SECRET)

    [result] = answer.json()["results"]
    assert reason in result["error"]["message"]


async def test_a_number_names_the_same_room_in_every_form(
    api: httpx.AsyncClient,
) -> None:
    [client] = await connected("42")
    await client.join("42", session_id="1")
    one, many = "/api/v1/push_room_event", "/api/v1/events"
    items = [
        {"room_id": 42},
        {"room_ids": [42]},
        {"room_id": 42, "to": [{"user_id": 42}]},
    ]

    for answer in (
        await api.post(one, json={"room_id": 42}, headers=SECRET),
        await api.post(one, data={"room_id": "42"}, headers=SECRET),
        await api.post(many, json={"events": items}, headers=SECRET),
    ):
        assert answer.status_code == 200, answer.text
    for _ in range(5):
        await client.event("new_msg")
    room = (await api.get("/api/v1/rooms/42", headers=SECRET)).json()
    assert (room["room_id"], room["sessions"]) == ("42", 1)
    removed = await api.post(
        "/api/v1/rooms/42/remove", json={"user_id": 42}, headers=SECRET
    )
    assert removed.json() == {"removed": ["42:1"]}


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "user_id", "is missing, and so is session"),
        ({"user_id": "a", "session": "a:1"}, "user_id", "not both"),
        ({"user_id": True}, "user_id", "text or a whole number, not a boolean"),
        ({"user_id": ""}, "user_id", "1 to 200 characters, not 0"),
        ({"user_id": "a", "block_seconds": True}, "block_seconds", "not a boolean"),
        ({"user_id": "a", "block_seconds": "60"}, "block_seconds", "not text"),
    ],
)
async def test_a_removal_that_is_none_is_said(
    api: httpx.AsyncClient, body: Any, field: str, reason: str
) -> None:
    answer = await api.post("/api/v1/rooms/r/remove", json=body, headers=SECRET)

    assert code_of(answer, 400) == "invalid"
    assert list(answer.json()["error"]["fields"]) == [field]
    assert reason in answer.json()["error"]["message"]


@every_post
async def test_a_body_above_the_limit_is_a_413(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    size = 1_100_000 if path.endswith("/events") else 70_000
    data = json.dumps({"pad": "x" * size} | (body or {}))
    headers = SECRET | {"content-type": "application/json"}

    answer = await api.request(method, path, content=data, headers=headers)

    assert code_of(answer, 413) == "too_large"


@with_body
async def test_a_body_in_chunks_is_read(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        data = json.dumps(body).encode()
        for at in range(0, len(data), 7):
            yield data[at : at + 7]

    headers = SECRET | {"content-type": "application/json"}
    answer = await api.request(method, path, content=chunks(), headers=headers)

    assert answer.status_code == 200, answer.text


@with_id
@pytest.mark.parametrize(
    "bad", ["%00", "a%0Ab", "x" * 201, "%C2%80", "%ED%A0%80", "%FF"]
)
async def test_an_id_that_is_none_is_refused(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    bad: str,
) -> None:
    if "/rooms/r" not in path and "/users/" not in path:
        pytest.skip("it has no id in its path")
    odd = path.replace("/rooms/r", f"/rooms/{bad}").replace(
        "/users/ada", f"/users/{bad}"
    )

    answer = await api.request(method, odd, json=body, headers=SECRET)

    # What is no UTF-8 is no path at all.
    status = 404 if bad in ("%ED%A0%80", "%FF") else 400
    assert code_of(answer, status) == ("not_found" if status == 404 else "invalid")


@pytest.mark.parametrize(
    "room_id", ["a/b", "..", ".", "é ü", "%", "%2F", "?x=1", "#", "日本", "a//b", " "]
)
async def test_any_room_has_a_path(api: httpx.AsyncClient, room_id: str) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in room_id.encode())
    raw = httpx.URL("http://beam").copy_with(
        raw_path=f"/api/v1/rooms/{encoded}".encode()
    )

    answer = await api.get(raw, headers=SECRET)

    assert answer.status_code == 200, answer.text
    assert answer.json()["room_id"] == room_id


@every
@pytest.mark.parametrize("query", ["format=xml", "format=json", "x=%FF", "a[b]=1"])
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense"])
async def test_what_is_asked_for_beside_makes_no_difference(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    query: str,
    accept: str,
) -> None:
    answer = await api.request(
        method, f"{path}?{query}", json=body, headers={"accept": accept}
    )

    assert code_of(answer, 401) == "unauthorized"


@pytest.mark.parametrize("path", ["/api/v1/nope", "/api/v1/", "/api/v1/rooms/a/b/c"])
@pytest.mark.parametrize("headers", [{}, SECRET])
async def test_a_path_that_is_none_is_a_404(
    api: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    missed = metrics.API_NOT_FOUND.value

    assert code_of(await api.get(path, headers=headers), 404) == "not_found"
    assert metrics.API_NOT_FOUND.value == missed + 1


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nope", "/api/v1", "/api/v1/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_below_api_every_refusal_is_json(
    api: httpx.AsyncClient, settings: Settings, path: str, method: str
) -> None:
    settings.DEBUG = True

    answer = await api.request(method, path)

    assert code_of(answer, 404) == "not_found"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_ask_by_address(
    api: httpx.AsyncClient, settings: Settings, path: str
) -> None:
    settings.ALLOWED_HOSTS = ["beam.example"]
    settings.DEBUG = False

    answer = await api.get(path, headers={"host": "10.1.2.3:5000"})

    assert answer.status_code == 200
    assert (await api.post(path)).status_code == 405


async def test_the_description_is_made_once(api: httpx.AsyncClient) -> None:
    first = await api.get("/api/schema", headers={"accept": "application/json"})
    assert first.json()["openapi"].startswith("3.")

    yaml = await api.get("/api/schema?format=xml")
    assert yaml.text.startswith("openapi: 3.")
    assert (await api.post("/api/schema")).status_code == 405


async def test_a_bug_is_a_500_in_the_same_shape(
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(health, "processes", fail)
    failed = metrics.API_FAILED.value

    answer = await api.get("/api/v1/processes", headers=SECRET)

    assert code_of(answer, 500) == "failed"
    assert "a bug" in caplog.text
    assert "a bug" not in answer.text
    assert metrics.API_FAILED.value == failed + 1


async def test_trouble_is_one_line_and_not_one_a_request(
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def away(*_: Any) -> None:
        raise publisher.Unavailable

    monkeypatch.setattr(trouble, "_quiet_until", 0.0)
    monkeypatch.setattr(publisher, "published", away)

    for _ in range(3):
        answer = await api.post("/api/v1/push_room_event", json=EVENT, headers=SECRET)
        assert code_of(answer, 503) == "unavailable"

    assert caplog.text.count("answered with 503: Unavailable") == 1


async def test_too_many_parts_of_a_form_are_a_400(api: httpx.AsyncClient) -> None:
    files = [(f"f{n}", (f"{n}.txt", b"x")) for n in range(150)]

    answer = await api.post("/api/v1/push_room_event", files=files, headers=SECRET)

    assert code_of(answer, 400) == "malformed"


async def test_a_removal_means_just_the_one_it_names(api: httpx.AsyncClient) -> None:
    ada, other = await connected("ada", " ada")
    for client in (ada, other):
        await client.join("r", session_id="1")

    answer = await api.post(
        "/api/v1/rooms/r/remove", json={"user_id": " ada"}, headers=SECRET
    )

    assert answer.json() == {"removed": [" ada:1"]}
    await other.event("phx_close")
    await background_tasks().finish()
    members = (await api.get("/api/v1/rooms/r/presence", headers=SECRET)).json()
    assert [member["session"] for member in members["members"]] == ["ada:1"]


@pytest.mark.parametrize(
    "session", ["ada", "ada:", ":1", "ada:" + "x" * 65, "a\nb:1", 5, ""]
)
async def test_a_session_that_is_none_is_a_400(
    api: httpx.AsyncClient, session: Any
) -> None:
    answer = await api.post(
        "/api/v1/rooms/r/remove", json={"session": session}, headers=SECRET
    )

    assert code_of(answer, 400) == "invalid"
    assert list(answer.json()["error"]["fields"]) == ["session"]


async def test_a_batch_is_bounded_however_it_names_its_rooms(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"max_batch_rooms": 10}
    items: list[Any] = [{"room_ids": []}, {"room_id": "r"}, {}, 5]
    for item in items:
        answer = await api.post(
            "/api/v1/events", json={"events": [item] * 11}, headers=SECRET
        )
        assert code_of(answer, 400) == "invalid"


async def test_an_answer_is_not_made_long_by_what_was_sent(
    api: httpx.AsyncClient,
) -> None:
    item: dict[str, Any] = {f"{n}" + "x" * 20_000: 1 for n in range(40)} | {
        "room_id": "r"
    }

    answer = await api.post("/api/v1/events", json={"events": [item]}, headers=SECRET)

    assert answer.status_code == 200
    assert len(answer.content) < 4_000


async def test_many_ask_at_once(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(
            api.request(method, path, json=body, headers=SECRET)
            for _ in range(5)
            for method, path, body, _ in REQUESTS
        )
    )

    assert {answer.status_code for answer in answers} == {200, 404}
