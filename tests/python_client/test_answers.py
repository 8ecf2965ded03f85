"""Answers: results, and errors for all others."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from beam_client import (
    BeamError,
    Event,
    Member,
    Room,
    RoomDetails,
)

from tests.python_client.script import DETAILS, Script

HTML = httpx.Response(200, html="<html>Sign in</html>")


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
