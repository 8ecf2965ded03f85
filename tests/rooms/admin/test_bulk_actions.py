"""Actions of the room list: close or open many rooms."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient

from beam import redis
from presence.factory import tracker
from rooms.models import Room
from tests.rooms.admin.conftest import AdminWith, text_of
from tests.rooms.admin.pages import LIST, log, members, post, room

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("own")
async def test_many_rooms_are_closed_once_this_is_confirmed(admin: AsyncClient) -> None:
    rooms = [await room(f"r{n}") for n in range(3)]
    [ada] = await members("ada", room_id="r1")
    chosen = {
        "action": "close_rooms",
        "_selected_action": [str(one.pk) for one in rooms[:2]],
    }

    text = await post(admin, LIST, **chosen)
    assert "Close 2 rooms?" in text
    assert "Sessions present now: 1." in text
    await post(admin, LIST, **chosen, confirmed="1")

    assert await ada.event("beam_removed") == {"reason": "room_closed"}
    closed = [one.closed async for one in Room.objects.order_by("room_id")]
    assert closed == [True, True, False]
    await post(admin, LIST, **(chosen | {"action": "open_rooms"}))
    assert not await Room.objects.filter(closed=True).aexists()
    assert await log() == ["Closed.", "Closed.", "Opened.", "Opened."]


@pytest.mark.usefixtures("own")
async def test_rooms_on_other_pages_are_closed_too(admin: AsyncClient) -> None:
    await Room.objects.abulk_create(Room(room_id=f"r{n:04}") for n in range(1_200))
    await room("other")
    everything = {
        "action": "close_rooms",
        "_selected_action": ["1"],
        "select_across": "1",
    }

    text = await post(admin, f"{LIST}?q=r0", **everything)
    assert "Close 1,000 rooms?" in text
    assert "and 950 more" in text
    text = await post(admin, f"{LIST}?q=r0", **everything, confirmed="1")

    assert "Closed 1,000 of 1,000 rooms." in text
    assert await Room.objects.filter(closed=True).acount() == 1_000
    assert len(await log()) == 1_000


@pytest.mark.usefixtures("own")
async def test_while_redis_is_unavailable_no_room_is_closed(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        await room(f"r{n}")

    async def unavailable(*_: Any) -> Any:
        raise redis.NotSent

    monkeypatch.setattr(type(tracker()), "ban", unavailable)
    everything = {"action": "close_rooms", "_selected_action": ["1"]}
    text = await post(admin, LIST, **everything, select_across="1", confirmed="1")

    assert text.count("Redis is unavailable: nothing was done") == 1
    assert " of 3 rooms" not in text
    assert await log() == []
    assert not await Room.objects.filter(closed=True).aexists()


@pytest.mark.usefixtures("own")
async def test_bulk_actions_need_the_permission(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    one = await room()
    user = await sync_to_async(admin_with)("view_room", "change_room")
    await async_client.aforce_login(user)
    assert "close_rooms" not in text_of(await async_client.get(LIST))

    chosen = {"action": "close_rooms", "_selected_action": [str(one.pk)]}
    await async_client.post(LIST, chosen | {"confirmed": "1"}, follow=True)

    assert (await Room.objects.aget()).closed is False
