"""Moderation of one room: each action is confirmed, allowed and logged."""

from __future__ import annotations

import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from presence import admission
from presence.factory import tracker
from rooms.models import Room
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import take_buffer
from rooms.protocol.identifiers import room_topic
from tests.clients import connected
from tests.rooms.admin.conftest import AdminWith, text_of
from tests.rooms.admin.pages import log, members, page, post, room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("own")
async def test_a_member_is_removed_once_this_is_confirmed(admin: AsyncClient) -> None:
    one = await room()
    ada, bob = await members("ada", "bob")
    url = page(one, "remove") + "?session=ada:1"

    assert "Remove ada:1 from room r?" in text_of(await admin.get(url))
    text = await post(admin, url, reason="rude", block_seconds="600")

    assert "Removed ada:1, blocked for 600 s." in text
    assert await ada.event("beam_removed") == {"reason": "rude"}
    await ada.event("phx_close")
    assert (await ada.try_join("r"))["response"]["reason"] == "blocked"
    assert (await bob.ask("room:r", "new_msg", {"broadcast": True}))["status"] == "ok"
    assert await log() == ["Removed ada:1, blocked for 600 s."]


@pytest.mark.usefixtures("own")
async def test_a_member_stays_if_the_room_has_too_many_blocks(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await room()
    [ada] = await members("ada")

    async def refuse(*_: Any, **__: Any) -> None:
        raise admission.TooManyBans

    monkeypatch.setattr(type(tracker()), "ban", refuse)
    form = {"reason": "rude", "block_seconds": "600"}
    text = await post(admin, page(one, "remove") + "?session=ada:1", **form)

    assert "Nothing was done: the room already has" in text
    assert (await ada.ask("room:r", "new_msg", {"broadcast": True}))["status"] == "ok"
    assert await log() == []


@pytest.mark.usefixtures("own")
async def test_the_form_to_block_a_member_offers_an_hour(admin: AsyncClient) -> None:
    one = await room()
    url = page(one, "remove") + "?session=ada:1"

    block = text_of(await admin.get(f"{url}&block="))
    remove = text_of(await admin.get(url))

    assert "Block ada:1 in room r?" in block
    assert '<option value="3600" selected>1 hour</option>' in block
    assert '<option value="0" selected>' in remove


@pytest.mark.usefixtures("own")
async def test_a_blocked_member_can_join_again_when_unblocked(
    admin: AsyncClient,
) -> None:
    one = await room()
    ada, bob = await members("ada", "bob")
    for session, everywhere in (("ada:1", "on"), ("bob:1", "")):
        url = page(one, "remove") + f"?session={session}"
        form = {"everywhere": everywhere, "reason": "no", "block_seconds": "600"}
        await post(admin, url, **form)
    assert (await ada.try_join("r"))["response"]["reason"] == "blocked"

    for target in ("ada", "bob:1"):
        await post(admin, page(one, "unblock"), target=target)

    for client in (ada, bob):
        assert (await client.try_join("r"))["status"] == "ok"
    assert (await log())[2:] == ["Unblocked ada.", "Unblocked bob:1."]


@pytest.mark.usefixtures("own")
async def test_removing_an_absent_member_is_not_reported_as_done(
    admin: AsyncClient,
) -> None:
    one = await room()
    form = {"reason": "no", "block_seconds": "0"}

    text = await post(admin, page(one, "remove") + "?session=ada:1", **form)
    assert "nothing was done" in text
    assert await log() == []

    url = page(one, "remove") + "?session=ada:1"
    await post(admin, url, **(form | {"block_seconds": "600"}))
    assert await log() == ["Blocked ada:1 for 600 s. It was not present."]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "action",
    [
        "remove",
        "remove/?session=",
        "remove/?session=nobody",
        f"remove/?session={'x' * 300}:1",
        "disconnect",
        f"disconnect/?user={'x' * 300}",
    ],
)
async def test_an_invalid_session_or_user_is_not_found(
    admin: AsyncClient, action: str
) -> None:
    one = await room()
    url = page(one, action.partition("/")[0]) + action.partition("/")[2]

    assert (await admin.get(url)).status_code == 404
    assert (await admin.post(url, {"reason": "x"})).status_code == 404
    assert await log() == []


@pytest.mark.usefixtures("own")
async def test_all_sessions_of_a_user_are_removed(admin: AsyncClient) -> None:
    one = await room()
    first, second = await connected("ada", "ada")
    await first.join("r", session_id="1")
    await second.join("r", session_id="2")
    url = page(one, "remove") + "?session=ada:1"

    await post(admin, url, everywhere="on", reason="bye", block_seconds="0")

    for client in (first, second):
        assert await client.event("beam_removed") == {"reason": "bye"}
    assert await log() == ["Removed user ada."]


@pytest.mark.usefixtures("own")
async def test_a_user_is_disconnected_everywhere(admin: AsyncClient) -> None:
    one = await room()
    ada, bob = await members("ada", "bob")
    url = page(one, "disconnect") + "?user=ada"

    assert "Disconnect user ada?" in text_of(await admin.get(url))
    await post(admin, url)

    assert await ada.closed_with() == 1001
    assert (await bob.ask("room:r", "new_msg", {"broadcast": True}))["status"] == "ok"
    assert await log() == ["Disconnected user ada."]


@pytest.mark.usefixtures("own")
async def test_a_room_is_closed_and_opened(admin: AsyncClient) -> None:
    one = await room()
    [ada] = await members("ada")

    assert "All members are removed." in text_of(await admin.get(page(one, "close")))
    assert (await Room.objects.aget()).closed is False
    await post(admin, page(one, "close"))

    assert await ada.event("beam_removed") == {"reason": "room_closed"}
    assert (await ada.try_join("r"))["response"]["reason"] == "room_closed"
    assert "Open room" in text_of(await admin.get(page(one)))
    await post(admin, page(one, "open"))
    await ada.join("r")
    assert await log() == ["Closed. Sessions removed: 1.", "Opened."]


@pytest.mark.usefixtures("own")
async def test_an_event_is_sent(admin: AsyncClient) -> None:
    one = await room()
    [ada] = await members("ada")

    await post(admin, page(one, "send"), event="notice", payload='{"text": "hé"}')

    assert await ada.event("notice") == {"text": "hé"}
    await activity().add(take_buffer(), time.time())
    [record] = await activity().sent(room_topic("r"))
    assert (record["event"], record["by"]) == ("notice", "admin:root")
    assert await log() == ["Sent event notice."]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("event", "payload", "says"),
    [
        ("notice", "{", "line 1, column 2"),
        ("notice", '{"a": 1,\n "b": x}', "line 2, column 7"),
        ("notice", "[]", "must be a JSON object"),
        ("notice", '{"a": NaN}', "Not valid JSON"),
        ("notice", '{"a": "' + "x" * 70_000 + '"}', "at most 65,536 bytes"),
        ("notice", '{"a":' + "[" * 80 + "]" * 80 + "}", "Not valid JSON"),
        ("phx_join", "{}", "reserved"),
        ("chan_reply_8", "{}", "reserved"),
        ("", "{}", "required"),
    ],
)
async def test_an_invalid_event_is_refused_with_the_reason(
    admin: AsyncClient, event: str, payload: str, says: str
) -> None:
    one = await room()

    text = await post(admin, page(one, "send"), event=event, payload=payload)

    assert says in text
    assert await log() == []


ACTIONS = ("close", "open", "remove", "unblock", "disconnect", "send")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("action", ACTIONS)
async def test_an_admin_without_the_permission_cannot_moderate(
    async_client: AsyncClient, admin_with: AdminWith, action: str
) -> None:
    one = await room()
    [ada] = await members("ada")
    user = await sync_to_async(admin_with)("view_room", "change_room")
    await async_client.aforce_login(user)
    url = page(one, action) + "?session=ada:1&user=ada"

    for request in (async_client.get, async_client.post):
        assert (await request(url)).status_code == 403

    text = text_of(await async_client.get(page(one)))
    assert "Close room" not in text
    assert '"mayModerate": false' in text
    assert (await ada.ask("room:r", "new_msg", {"broadcast": True}))["status"] == "ok"
    assert await log() == []


@pytest.mark.usefixtures("own")
async def test_an_admin_that_cannot_see_rooms_cannot_moderate_them(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    one = await room()
    user = await sync_to_async(admin_with)("steer_room")
    await async_client.aforce_login(user)

    answer = await async_client.post(page(one, "close"))

    assert answer.status_code == 403
    assert (await Room.objects.aget()).closed is False


@pytest.mark.usefixtures("own")
async def test_an_admin_with_the_permission_can_moderate(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    one = await room()
    user = await sync_to_async(admin_with)("view_room", "steer_room")
    await async_client.aforce_login(user)

    assert "Close room" in text_of(await async_client.get(page(one)))
    await post(async_client, page(one, "close"))

    assert (await Room.objects.aget()).closed is True
    # The permission does not include the settings.
    answer = await async_client.post(page(one), {"capacity": "1"})
    assert answer.status_code == 403


@pytest.mark.usefixtures("own")
async def test_a_form_of_another_site_is_refused(admin: AsyncClient) -> None:
    one = await room()
    strict = AsyncClient(enforce_csrf_checks=True)
    strict.cookies = admin.cookies

    answer = await strict.post(page(one, "close"))

    assert answer.status_code == 403
    assert (await Room.objects.aget()).closed is False
