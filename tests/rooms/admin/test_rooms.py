"""A room's page: its members, its events, its settings."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from django.db import connection
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from beam.redis import Unavailable
from presence.factory import tracker
from rooms.admin import page_data
from rooms.messaging import publisher
from rooms.models import Room
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer, take_buffer
from rooms.protocol.identifiers import room_topic
from rooms.records import room_overrides
from rooms.records.room_policy import Policy, policy_for
from rooms.records.room_rows import room_rows
from rooms.runtime import Runtime, runtime
from tests.clients import connected, until
from tests.fakes import IdleUpkeep
from tests.rooms.admin.conftest import text_of
from tests.rooms.admin.pages import LIST, log, members, page, post, room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("own")
async def test_a_rooms_page_shows_its_members_and_backend_events(
    admin: AsyncClient,
) -> None:
    one = await room()
    _inside = await members("ada", "<b>bob</b>")
    activity_buffer.note_sent(room_topic("r"), "changed", "key:billing")
    await activity().add(take_buffer(), time.time())

    text = text_of(await admin.get(page(one)))

    assert ">ada:1</td>" in text
    assert ">ada</td>" in text
    assert "&lt;b&gt;bob&lt;/b&gt;:1" in text
    assert "<b>bob" not in text.replace("\\u003Cb", "")
    assert ">changed<" in text
    assert "key:billing" in text


@pytest.mark.usefixtures("own")
async def test_the_form_explains_the_maximum_of_sessions(admin: AsyncClient) -> None:
    one = await room()

    answer = await admin.get(page(one))

    text = answer.content.decode()
    assert "Members whose room token lacks presence are not counted." in text


@pytest.mark.usefixtures("own")
async def test_settings_of_a_room_apply_at_once(admin: AsyncClient) -> None:
    runtime.put(Runtime(IdleUpkeep(reads_overrides=True)))
    one = await room()
    ada, bob = await connected("ada", "bob")

    await post(admin, page(one), capacity="1", presence_grace="2.5")
    await until(lambda: policy_for("r") == Policy(presence_grace=2.5, capacity=1))

    await ada.join("r")
    assert (await bob.try_join("r"))["response"]["reason"] == "room_full"
    assert await log() == ["Changed Maximum sessions and Presence grace period."]


@pytest.mark.usefixtures("own")
async def test_settings_saved_while_redis_is_unavailable_apply_later(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await room()

    async def unavailable(*_: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(publisher, "published", unavailable)
    monkeypatch.setattr(type(tracker()), "list", unavailable)
    text = await post(admin, page(one), capacity="1", presence_grace="")

    assert text.count("other processes apply the change within a minute") == 1
    assert "was changed successfully" in text
    assert (await Room.objects.aget()).capacity == 1


@pytest.mark.parametrize("grace", ["-1", "86401", "nan", "inf"])
async def test_a_grace_period_is_at_most_a_day(admin: AsyncClient, grace: str) -> None:
    text = await post(
        admin, f"{LIST}add/", room_id="r", capacity="", presence_grace=grace
    )

    assert "errorlist" in text
    assert not await Room.objects.aexists()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 201])
async def test_a_room_can_be_set_up_before_its_first_join(
    admin: AsyncClient, bad: str
) -> None:
    await post(admin, f"{LIST}add/", room_id="later", capacity="5", presence_grace="")
    assert (await Room.objects.aget()).capacity == 5

    text = await post(admin, f"{LIST}add/", room_id=bad, capacity="", presence_grace="")
    assert "errorlist" in text
    assert await Room.objects.acount() == 1


@pytest.mark.usefixtures("own")
async def test_processes_are_notified_after_the_settings_are_committed(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await room()
    within: list[bool] = []

    def run(request: Any, work: Any, error: str = "") -> None:
        if work is room_overrides.publish_change:
            within.append(connection.in_atomic_block)

    monkeypatch.setattr(page_data, "run", run)
    await post(admin, page(one), capacity="1", presence_grace="")

    assert within == [False]


@pytest.mark.usefixtures("own")
async def test_a_closed_room_cannot_be_deleted(admin: AsyncClient) -> None:
    one, other = await room(), await room("other")
    await post(admin, page(one, "close"))

    text = await post(admin, page(one, "delete"), post="yes")
    assert "r is closed: open it before you delete it" in text
    chosen = {"action": "delete_selected", "_selected_action": [one.pk, other.pk]}
    text = await post(admin, LIST, **chosen, post="yes")
    assert "Closed rooms cannot be deleted." in text
    assert "r is closed: open it before you delete it" in text
    assert await Room.objects.acount() == 2

    await post(admin, page(one, "open"))
    await post(admin, page(one, "delete"), post="yes")
    assert [one.room_id async for one in Room.objects.all()] == ["other"]


@pytest.mark.usefixtures("own")
async def test_all_processes_drop_the_settings_of_a_deleted_room(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}
    monkeypatch.setattr(room_rows, "_new", {})
    runtime.put(Runtime(IdleUpkeep(reads_overrides=True)))
    one = await room(capacity=1)
    _client = await connected("ada")
    await room_overrides.load()
    room_rows.joined("r")
    await room_rows.write()
    assert policy_for("r").capacity == 1

    await post(admin, page(one, "delete"), post="yes")

    await until(lambda: policy_for("r").capacity == 0)
    room_rows.joined("r")
    await room_rows.write()
    assert (await Room.objects.aget(room_id="r")).capacity is None


@pytest.mark.parametrize("path", [LIST, f"{LIST}1/close/", "/admin/live/"])
async def test_a_client_without_a_login_is_sent_to_the_login_page(
    async_client: AsyncClient, path: str
) -> None:
    answer = await async_client.get(path)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["location"]


@pytest.mark.usefixtures("own")
async def test_a_room_page_is_served_to_many_admins_at_once(admin: AsyncClient) -> None:
    one = await room()

    answers = await asyncio.gather(*(admin.get(page(one)) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
