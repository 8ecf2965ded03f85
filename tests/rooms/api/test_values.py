"""Values of bodies: which are valid, and the errors for the others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pytest_django.fixtures import Settings

from rooms.messaging.background_tasks import background_tasks
from tests.clients import connected
from tests.rooms.api.requests import (
    EVENT,
    SECRET,
    code_of,
)

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]

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
async def test_one_event_and_an_item_of_a_batch_follow_the_same_rules(
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
        ([], "the body must be an object, not a list"),
        ("x", "the body must be an object, not text"),
        ({}, "events: is missing"),
        ({"events": {}}, "events: must be a list, not an object"),
        ({"events": []}, "events: must not be empty"),
    ],
)
async def test_errors_explain_an_invalid_batch(
    api: httpx.AsyncClient, body: Any, reason: str
) -> None:
    answer = await api.post("/api/v1/events", json=body, headers=SECRET)

    assert code_of(answer, 400) in ("invalid", "malformed")
    assert reason in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (5, "an item must be an object, not a number"),
        ({}, "room_id: is missing; name a room_id or room_ids"),
        ({"room_id": "a", "room_ids": ["b"]}, "not both"),
        ({"room_ids": "a"}, "room_ids: must be a list of room ids, not text"),
        ({"room_ids": []}, "room_ids: must not be empty"),
        ({"room_ids": ["a", ""]}, r"room_ids[1]: a room id must have 1 to 200"),
    ],
)
async def test_errors_explain_an_invalid_item(
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
        ({}, "user_id", "is missing; name a user_id or session"),
        ({"user_id": "a", "session": "a:1"}, "user_id", "not both"),
        ({"user_id": True}, "user_id", "text or a whole number, not a boolean"),
        ({"user_id": ""}, "user_id", "1 to 200 characters, not 0"),
        ({"user_id": "a", "block_seconds": True}, "block_seconds", "not a boolean"),
        ({"user_id": "a", "block_seconds": "60"}, "block_seconds", "not text"),
    ],
)
async def test_errors_explain_an_invalid_body_of_remove(
    api: httpx.AsyncClient, body: Any, field: str, reason: str
) -> None:
    answer = await api.post("/api/v1/rooms/r/remove", json=body, headers=SECRET)

    assert code_of(answer, 400) == "invalid"
    assert list(answer.json()["error"]["fields"]) == [field]
    assert reason in answer.json()["error"]["message"]


async def test_a_removal_matches_the_user_id_exactly(api: httpx.AsyncClient) -> None:
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
async def test_an_invalid_session_is_a_400(
    api: httpx.AsyncClient, session: Any
) -> None:
    answer = await api.post(
        "/api/v1/rooms/r/remove", json={"session": session}, headers=SECRET
    )

    assert code_of(answer, 400) == "invalid"
    assert list(answer.json()["error"]["fields"]) == ["session"]


async def test_invalid_items_count_for_the_limit_of_rooms(
    api: httpx.AsyncClient, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"max_batch_rooms": 10}
    items: list[Any] = [{"room_ids": []}, {"room_id": "r"}, {}, 5]
    for item in items:
        answer = await api.post(
            "/api/v1/events", json={"events": [item] * 11}, headers=SECRET
        )
        assert code_of(answer, 400) == "invalid"


async def test_the_length_of_an_answer_does_not_depend_on_the_request(
    api: httpx.AsyncClient,
) -> None:
    item: dict[str, Any] = {f"{n}" + "x" * 20_000: 1 for n in range(40)} | {
        "room_id": "r"
    }

    answer = await api.post("/api/v1/events", json={"events": [item]}, headers=SECRET)

    assert answer.status_code == 200
    assert len(answer.content) < 4_000
