"""Bodies: content types, encodings, sizes, and JSON that is not valid."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from beam.telemetry import metrics
from tests.rooms.api.requests import (
    SECRET,
    code_of,
    every_post,
    with_body,
)

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


@with_body
@pytest.mark.parametrize("data", [b"{", b"[1", b'{"a": NaN}', b"\xff", b"nonsense"])
async def test_a_body_that_is_not_json_is_a_400(
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
async def test_json_of_another_shape_is_a_400(
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
async def test_an_unsupported_content_type_is_a_415(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    headers = SECRET | {"content-type": "text/plain"}

    answer = await api.request(method, path, content=json.dumps(body), headers=headers)

    assert code_of(answer, 415) == "unsupported_media_type"
    message = answer.json()["error"]["message"]
    assert "'text/plain'" in message
    assert "application/json" in message


@with_body
async def test_a_missing_content_type_is_a_415(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    answer = await api.request(method, path, content=json.dumps(body), headers=SECRET)

    assert code_of(answer, 415) == "unsupported_media_type"
    message = answer.json()["error"]["message"]
    assert "the content type is missing" in message
    assert "content-type: application/json" in message


@with_body
async def test_json_with_the_content_type_of_a_form_is_a_415(
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
async def test_a_body_with_content_encoding_identity_is_read(
    api: httpx.AsyncClient, method: str, path: str, body: Any, scope: str | None
) -> None:
    headers = SECRET | {"content-encoding": "Identity"}

    answer = await api.request(method, path, json=body, headers=headers)

    assert answer.status_code == 200, answer.text


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


async def test_too_many_parts_of_a_form_are_a_400(api: httpx.AsyncClient) -> None:
    files = [(f"f{n}", (f"{n}.txt", b"x")) for n in range(150)]

    answer = await api.post("/api/v1/push_room_event", files=files, headers=SECRET)

    assert code_of(answer, 400) == "malformed"
