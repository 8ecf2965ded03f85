"""`POST push_room_event`: delivery, and invalid bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam.telemetry import metrics
from rooms.messaging import publisher
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


async def test_an_event_reaches_all_members_of_the_room(
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


async def test_a_room_without_members_is_accepted(async_client: AsyncClient) -> None:
    answer = await post(async_client, {"room_id": "nobody/é", "payload": {"a": 1}})

    assert answer.status_code == 200


async def test_a_form_is_accepted_as_a_body(async_client: AsyncClient) -> None:
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
async def test_a_missing_and_a_wrong_secret_get_the_same_answer(
    async_client: AsyncClient, headers: dict[str, str]
) -> None:
    before = metrics.API_UNAUTHORIZED.value

    push = await post(async_client, {"room_id": "doc"}, headers)
    health = await async_client.get("/api/v1/health", headers=headers)

    expected = {"code": "unauthorized", "message": "missing or wrong secret or API key"}
    for answer in (push, health):
        assert answer.status_code == 401
        assert answer.json() == {"error": expected}
    assert metrics.API_UNAUTHORIZED.value == before + 2


async def test_an_empty_secret_is_never_accepted(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"api_secrets": ()}

    answer = await post(async_client, {"room_id": "doc"}, {"secret": ""})

    assert answer.status_code == 401


async def test_the_secret_is_checked_before_the_body(async_client: AsyncClient) -> None:
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
        # An event for some members must not go to all.
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
async def test_errors_explain_what_is_not_json(
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


async def test_an_unavailable_channel_layer_is_a_503(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(event: Any) -> None:
        raise publisher.NotPublished("unavailable")

    monkeypatch.setattr(publisher, "published", refuse)

    answer = await post(async_client, {"room_id": "doc"})

    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "unavailable"


async def test_a_multipart_form_is_accepted_as_a_body(
    async_client: AsyncClient,
) -> None:
    [ada] = await connected("ada")
    await ada.join("form")

    answer = await async_client.post(
        PUSH,
        data={"room_id": "form", "event": "changed", "payload[a]": "1"},
        headers=SECRET,
    )

    assert answer.status_code == 200
    assert await ada.event("changed") == {"a": "1"}
