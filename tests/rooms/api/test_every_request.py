"""Every request of the API through the ASGI application: answers, refusals, headers.

Django's test client would call the views in another way.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.api import health
from rooms.api.errors import unavailable_log
from rooms.auth import api_keys
from rooms.messaging import publisher
from tests.keys import create
from tests.rooms.api.requests import (
    EVENT,
    OPEN,
    REQUESTS,
    SECRET,
    code_of,
    every,
)

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


@every
async def test_a_valid_request_is_answered(
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
async def test_missing_or_wrong_credentials_are_a_401(
    api: httpx.AsyncClient,
    method: str,
    path: str,
    body: Any,
    scope: str | None,
    headers: dict[str, str],
) -> None:
    refused = metrics.API_UNAUTHORIZED.value

    answer = await api.request(method, path, json=body, headers=headers)

    assert code_of(answer, 401) == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert metrics.API_UNAUTHORIZED.value == refused + 1


@every
async def test_a_key_without_the_scope_is_a_403(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
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
        # The metrics change.
        changing.add("content-length")
    assert {n: v for n, v in head.headers.items() if n not in changing} == {
        n: v for n, v in get.headers.items() if n not in changing
    }
    assert int(head.headers["content-length"]) > 0 or not get.content


@pytest.mark.parametrize("path", OPEN)
async def test_open_paths_accept_only_reading_methods(
    api: httpx.AsyncClient, path: str
) -> None:
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


@every
@pytest.mark.parametrize("query", ["format=xml", "format=json", "x=%FF", "a[b]=1"])
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense"])
async def test_query_and_accept_do_not_change_the_answer(
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


async def test_the_openapi_document_is_json_or_yaml(api: httpx.AsyncClient) -> None:
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


async def test_outages_are_not_logged_for_each_request(
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(*_: Any) -> None:
        raise publisher.NotPublished

    monkeypatch.setattr(unavailable_log, "_quiet_until", 0.0)
    monkeypatch.setattr(publisher, "published", fail)

    for _ in range(3):
        answer = await api.post("/api/v1/push_room_event", json=EVENT, headers=SECRET)
        assert code_of(answer, 503) == "unavailable"

    assert caplog.text.count("answered with 503: NotPublished") == 1


async def test_many_requests_at_once_are_answered(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(
            api.request(method, path, json=body, headers=SECRET)
            for _ in range(5)
            for method, path, body, _ in REQUESTS
        )
    )

    assert {answer.status_code for answer in answers} == {200, 404}
