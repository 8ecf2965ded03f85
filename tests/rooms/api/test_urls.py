"""Paths: ids, slashes, unknown paths."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.urls import get_resolver
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from tests.rooms.api.requests import (
    OPEN,
    REQUESTS,
    SECRET,
    code_of,
    every,
    with_id,
)

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


def test_every_route_is_here() -> None:
    routes = {str(route.pattern) for route in get_resolver("rooms.urls").url_patterns}
    tested = {
        path.replace("rooms/r", "rooms/<id:room_id>") for _, path, _, _ in REQUESTS
    }
    tested = {
        path.replace("users/ada", "users/<id:user_id>").lstrip("/") for path in tested
    }

    assert {r for r in routes if r.startswith(("api/v1/", "metrics"))} == tested


@every
@pytest.mark.parametrize("form", ["{}/", "{}//", "/{}", "//{}/", "doubled"])
async def test_trailing_and_doubled_slashes_are_ignored(
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
async def test_open_paths_ignore_such_slashes_too(
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

    # With trailing slashes it is the list; any other empty id is not found.
    if path == "/api/v1/rooms//":
        assert answer.json()["cursor"] is None
    else:
        assert code_of(answer, 404) == "not_found"


@pytest.mark.parametrize("room_id", ["rooms", "users", "api", "v1", "a//b", "a/"])
async def test_slashes_in_a_room_id_are_kept(
    api: httpx.AsyncClient, room_id: str
) -> None:
    encoded = room_id.replace("/", "%2F")
    for path in (f"/api//v1/rooms/{encoded}//presence/", f"//api/v1/rooms/{encoded}/"):
        raw = httpx.URL("http://beam").copy_with(raw_path=path.encode())
        answer = await api.get(raw, headers=SECRET)
        assert answer.status_code == 200, answer.text
        assert answer.json()["room_id"] == room_id


@with_id
@pytest.mark.parametrize(
    "bad", ["%00", "a%0Ab", "x" * 201, "%C2%80", "%ED%A0%80", "%FF"]
)
async def test_an_invalid_id_in_a_path_is_refused(
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

    # A path that is not UTF-8 is not found.
    status = 404 if bad in ("%ED%A0%80", "%FF") else 400
    assert code_of(answer, status) == ("not_found" if status == 404 else "invalid")


@pytest.mark.parametrize(
    "room_id", ["a/b", "..", ".", "é ü", "%", "%2F", "?x=1", "#", "日本", "a//b", " "]
)
async def test_every_valid_room_id_has_a_path(
    api: httpx.AsyncClient, room_id: str
) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in room_id.encode())
    raw = httpx.URL("http://beam").copy_with(
        raw_path=f"/api/v1/rooms/{encoded}".encode()
    )

    answer = await api.get(raw, headers=SECRET)

    assert answer.status_code == 200, answer.text
    assert answer.json()["room_id"] == room_id


@pytest.mark.parametrize("path", ["/api/v1/nope", "/api/v1/", "/api/v1/rooms/a/b/c"])
@pytest.mark.parametrize("headers", [{}, SECRET])
async def test_an_unknown_path_is_a_404(
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
async def test_probes_may_use_the_ip_as_host(
    api: httpx.AsyncClient, settings: Settings, path: str
) -> None:
    settings.ALLOWED_HOSTS = ["beam.example"]
    settings.DEBUG = False

    answer = await api.get(path, headers={"host": "10.1.2.3:5000"})

    assert answer.status_code == 200
    assert (await api.post(path)).status_code == 405
