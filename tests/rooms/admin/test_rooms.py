"""Rooms in Django admin: the list with live figures, a room's page, steering."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import AsyncClient, Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from beam import redis
from presence.factory import tracker
from rooms.admin import live_data
from rooms.models import Room
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer, take_buffer
from rooms.protocol.identifiers import room_topic
from rooms.records import room_overrides
from rooms.records.room_policy import Policy, policy_for
from rooms.records.room_rows import registry
from rooms.runtime import Runtime, runtime
from tests.clients import Client as Member
from tests.clients import connected, until
from tests.fakes import IdleUpkeep
from tests.rooms.admin.conftest import AdminWith, text_of

LIST = "/admin/rooms/room/"
CPU_SECONDS = 0.3

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def own(running_hub: object) -> None:
    """A hub of this test's own."""


async def room(room_id: str = "r", **fields: Any) -> Room:
    """A room's row."""
    return await Room.objects.acreate(room_id=room_id, **fields)


def page(room: Room, *way: str) -> str:
    """The address of a room's page, or of a way to steer it."""
    return "/".join([LIST.rstrip("/"), str(room.pk), *(way or ("change",)), ""])


async def post(http: AsyncClient, url: str, **data: Any) -> str:
    """Answer a question; the page that follows."""
    return text_of(await http.post(url, data, follow=True))


async def log() -> list[str]:
    """What was written down, oldest first."""
    entries = LogEntry.objects.order_by("pk")
    return [entry.get_change_message() async for entry in entries]


async def members(*names: str, room_id: str = "r") -> list[Member]:
    """Clients that are in a room."""
    clients = await connected(*names)
    for client in clients:
        await client.join(room_id)
    return clients


# The list.


@pytest.mark.usefixtures("own")
async def test_the_list_tells_what_rooms_do_now(admin: AsyncClient) -> None:
    await room("busy")
    await room("quiet", created=timezone.now() - timedelta(days=3))
    await room("shut", closed=True)
    inside = await members("ada", "bob", room_id="busy")
    for client in inside:
        await client.ask("room:busy", "new_msg", {"broadcast": True})
    await activity().add(take_buffer(), time.time())

    text = text_of(await admin.get(LIST))

    rows = [row for row in text.split("<tr") if 'class="field-state"' in row]
    told = {
        name: next(row for row in rows if f">{name}</a>" in row)
        for name in ("busy", "quiet", "shut")
    }
    assert "beam-live" in told["busy"]
    for field, value in (("sessions", 2), ("users", 2), ("per_minute", 2)):
        assert f'field-{field}">{value}<' in told["busy"]
    assert "beam-idle" in told["quiet"]
    assert "3\xa0days" in told["quiet"]
    assert "beam-closed" in told["shut"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["busy", "quiet", "shut"]),
        ("?state=live", ["busy"]),
        ("?state=idle", ["quiet"]),
        ("?state=closed", ["shut"]),
        ("?q=qui", ["quiet"]),
        ("?q=nothing", []),
    ],
)
async def test_rooms_are_found_by_state_and_name(
    admin: AsyncClient, query: str, names: list[str]
) -> None:
    await room("busy")
    await room("quiet")
    await room("shut", closed=True)
    _inside = await members("ada", room_id="busy")

    text = text_of(await admin.get(LIST + query))

    found = [name for name in ("busy", "quiet", "shut") if f">{name}</a>" in text]
    assert found == names


def thousands() -> None:
    """10,000 rooms."""
    rows = [Room(room_id=f"room {n:05}") for n in range(10_000)]
    Room.objects.bulk_create(rows)


@pytest.mark.parametrize("query", ["", "?state=idle", "?state=live", "?q=77", "?p=150"])
def test_the_list_of_10_000_rooms_is_quick(
    admin_client: Client,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    query: str,
) -> None:
    thousands()
    # What is loaded once is not the list's.
    admin_client.get(LIST)

    taken = []
    for _ in range(3):
        began = time.process_time()
        with django_assert_max_num_queries(5):
            text_of(admin_client.get(LIST + query))
        taken.append(time.process_time() - began)

    # What others do to the processor's caches only adds to it.
    assert min(taken) < CPU_SECONDS, taken


@pytest.mark.redis
@pytest.mark.parametrize("backend", ["redis"], indirect=True)
@pytest.mark.usefixtures("backend", "own")
async def test_redis_is_asked_for_a_page_and_not_for_a_row(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(40):
        await room(f"r{n}")
    trips: list[int] = []
    send = redis.Batch._send_batch

    async def counted(batch: redis.Batch, sent: Any) -> None:
        trips.append(len(sent))
        await send(batch, sent)

    monkeypatch.setattr(redis.Batch, "_send_batch", counted)

    text_of(await admin.get(LIST))

    assert len(trips) <= 3
    assert sum(trips) <= 2 * 40 + 2


@pytest.mark.usefixtures("own")
async def test_while_redis_is_away_the_list_says_so(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await room()

    async def away(*_: Any) -> Any:
        raise redis.Away

    monkeypatch.setattr(type(tracker()), "sizes", away)
    monkeypatch.setattr(type(tracker()), "list", away)
    for url in (LIST, page(one)):
        assert "Redis is unavailable" in text_of(await admin.get(url))

    text = await post(admin, page(one, "close"))
    assert text.count("Redis is unavailable: nothing was done") == 1
    assert await log() == []
    assert (await Room.objects.aget()).closed is False
    assert "beam-unknown" in text_of(await admin.get(LIST))


@pytest.mark.usefixtures("own")
async def test_while_redis_is_away_many_rooms_stay_open(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        await room(f"r{n}")

    async def away(*_: Any) -> Any:
        raise redis.Away

    monkeypatch.setattr(type(tracker()), "ban", away)
    everything = {"action": "close_rooms", "_selected_action": ["1"]}
    text = await post(admin, LIST, **everything, select_across="1", confirmed="1")

    assert text.count("Redis is unavailable: nothing was done") == 1
    assert " of 3 rooms" not in text
    assert await log() == []
    assert not await Room.objects.filter(closed=True).aexists()


async def test_a_room_is_found_by_its_id(
    admin: AsyncClient, async_client: AsyncClient, admin_with: AdminWith
) -> None:
    one = await room("a room/é?")
    url = f"{LIST}named/"

    answer = await admin.get(url, {"room_id": "a room/é?"})
    assert answer["location"] == page(one)
    answer = await admin.get(url, {"room_id": "n\0ew & other"})
    assert answer["location"] == f"{LIST}?q=new+%26+other"

    await async_client.aforce_login(await sync_to_async(admin_with)())
    assert (await async_client.get(url, {"room_id": "x"})).status_code == 403


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("way", ["named/?room_id=young", "?q=young", "?state=live"])
async def test_a_live_room_without_a_row_gets_it_when_an_admin_looks_for_it(
    admin: AsyncClient, way: str
) -> None:
    [ada] = await connected("ada")
    await ada.join("young")
    assert not await Room.objects.aexists()
    # Nobody is in that one: it gets none.
    await admin.get(LIST + way.replace("young", "nobody"))
    assert not await Room.objects.filter(room_id="nobody").aexists()

    answer = await admin.get(LIST + way)

    one = await Room.objects.aget()
    assert (one.room_id, one.closed, one.capacity) == ("young", False, None)
    if answer.status_code == 302:
        assert answer["location"] == page(one)
    else:
        assert page(one) in text_of(answer)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("room_id", ["n\0ew", "a\nb", "x" * 300, ""])
async def test_what_is_no_room_id_gets_no_row(admin: AsyncClient, room_id: str) -> None:
    for query in ({"q": room_id}, {"room_id": room_id}):
        path = f"{LIST}named/" if "room_id" in query else LIST
        assert (await admin.get(path, query)).status_code in (200, 302)

    assert not await Room.objects.aexists()


@pytest.mark.usefixtures("own")
async def test_the_list_gives_rows_to_so_many_live_rooms_at_once(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rooms.admin.room_list.AT_ONCE", 2)
    [ada] = await connected("ada")
    for n in range(5):
        await ada.join(f"r{n}")

    await admin.get(f"{LIST}?state=live")
    assert await Room.objects.acount() == 2
    await admin.get(f"{LIST}?state=live")
    assert await Room.objects.acount() == 4


# A room's page.


@pytest.mark.usefixtures("own")
async def test_a_rooms_page_tells_who_is_in_and_what_was_sent(
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
async def test_the_form_says_what_a_capacity_counts(admin: AsyncClient) -> None:
    one = await room()

    answer = await admin.get(page(one))

    text = answer.content.decode()
    assert "Members whose room token lacks presence are not counted." in text


@pytest.mark.usefixtures("own")
async def test_what_is_set_holds_at_once(admin: AsyncClient) -> None:
    runtime.put(Runtime(IdleUpkeep(reads_overrides=True)))
    one = await room()
    ada, bob = await connected("ada", "bob")

    await post(admin, page(one), capacity="1", presence_grace="2.5")
    await until(lambda: policy_for("r") == Policy(presence_grace=2.5, capacity=1))

    await ada.join("r")
    assert (await bob.try_join("r"))["response"]["reason"] == "room_full"
    assert await log() == ["Changed Maximum sessions and Presence grace period."]


@pytest.mark.parametrize("grace", ["-1", "86401", "nan", "inf"])
async def test_a_grace_is_a_day_at_most(admin: AsyncClient, grace: str) -> None:
    text = await post(
        admin, f"{LIST}add/", room_id="r", capacity="", presence_grace=grace
    )

    assert "errorlist" in text
    assert not await Room.objects.aexists()


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 201])
async def test_a_room_can_be_set_up_before_anybody_comes(
    admin: AsyncClient, bad: str
) -> None:
    await post(admin, f"{LIST}add/", room_id="later", capacity="5", presence_grace="")
    assert (await Room.objects.aget()).capacity == 5

    text = await post(admin, f"{LIST}add/", room_id=bad, capacity="", presence_grace="")
    assert "errorlist" in text
    assert await Room.objects.acount() == 1


# Moderation.


@pytest.mark.usefixtures("own")
async def test_a_member_is_removed_after_asking(admin: AsyncClient) -> None:
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

    for who in ("ada", "bob:1"):
        await post(admin, page(one, "unblock"), who=who)

    for client in (ada, bob):
        assert (await client.try_join("r"))["status"] == "ok"
    assert (await log())[2:] == ["Unblocked ada.", "Unblocked bob:1."]


@pytest.mark.usefixtures("own")
async def test_to_remove_nobody_is_not_told_as_done(admin: AsyncClient) -> None:
    one = await room()
    form = {"reason": "no", "block_seconds": "0"}

    text = await post(admin, page(one, "remove") + "?session=ada:1", **form)
    assert "nothing was done" in text
    assert await log() == []

    url = page(one, "remove") + "?session=ada:1"
    await post(admin, url, **(form | {"block_seconds": "600"}))
    assert await log() == ["ada:1 was not present; blocked for 600 s."]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "way",
    [
        "remove",
        "remove/?session=",
        "remove/?session=nobody",
        f"remove/?session={'x' * 300}:1",
        "disconnect",
        f"disconnect/?user={'x' * 300}",
    ],
)
async def test_who_cannot_be_is_not_found(admin: AsyncClient, way: str) -> None:
    one = await room()
    url = page(one, way.partition("/")[0]) + way.partition("/")[2]

    assert (await admin.get(url)).status_code == 404
    assert (await admin.post(url, {"reason": "x"})).status_code == 404
    assert await log() == []


@pytest.mark.usefixtures("own")
async def test_processes_are_told_when_what_is_set_can_be_read(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await room()
    within: list[bool] = []

    def ask(request: Any, what: Any, away: str = "") -> None:
        if what is room_overrides.tell:
            within.append(connection.in_atomic_block)

    monkeypatch.setattr(live_data, "ask", ask)
    await post(admin, page(one), capacity="1", presence_grace="")

    assert within == [False]


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
async def test_many_rooms_are_closed_after_asking(admin: AsyncClient) -> None:
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
async def test_what_cannot_be_sent_is_said(
    admin: AsyncClient, event: str, payload: str, says: str
) -> None:
    one = await room()

    text = await post(admin, page(one, "send"), event=event, payload=payload)

    assert says in text
    assert await log() == []


@pytest.mark.usefixtures("own")
async def test_a_room_that_is_closed_is_not_deleted(admin: AsyncClient) -> None:
    one, other = await room(), await room("other")
    await post(admin, page(one, "close"))

    text = await post(admin, page(one, "delete"), post="yes")
    assert "r is closed: open it before you delete it" in text
    chosen = {"action": "delete_selected", "_selected_action": [one.pk, other.pk]}
    text = await post(admin, LIST, **chosen, post="yes")
    assert "r is closed: open it before you delete it" in text
    assert await Room.objects.acount() == 2

    await post(admin, page(one, "open"))
    await post(admin, page(one, "delete"), post="yes")
    assert [one.room_id async for one in Room.objects.all()] == ["other"]


@pytest.mark.usefixtures("own")
async def test_a_room_that_is_deleted_is_forgotten_by_all(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.BEAM = settings.BEAM | {"room_row_seconds": 0.0}
    monkeypatch.setattr(registry, "_young", {})
    runtime.put(Runtime(IdleUpkeep(reads_overrides=True)))
    one = await room(capacity=1)
    _client = await connected("ada")
    await room_overrides.load()
    registry.joined("r")
    await registry.write()
    assert policy_for("r").capacity == 1

    await post(admin, page(one, "delete"), post="yes")

    await until(lambda: policy_for("r").capacity == 0)
    registry.joined("r")
    await registry.write()
    assert (await Room.objects.aget(room_id="r")).capacity is None


# Permissions.


WAYS = ("close", "open", "remove", "unblock", "disconnect", "send")


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("way", WAYS)
async def test_an_admin_without_the_permission_cannot_moderate(
    async_client: AsyncClient, admin_with: AdminWith, way: str
) -> None:
    one = await room()
    [ada] = await members("ada")
    user = await sync_to_async(admin_with)("view_room", "change_room")
    await async_client.aforce_login(user)
    url = page(one, way) + "?session=ada:1&user=ada"

    for ask in (async_client.get, async_client.post):
        assert (await ask(url)).status_code == 403

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
async def test_actions_need_the_permission_too(
    async_client: AsyncClient, admin_with: AdminWith
) -> None:
    one = await room()
    user = await sync_to_async(admin_with)("view_room", "change_room")
    await async_client.aforce_login(user)
    assert "close_rooms" not in text_of(await async_client.get(LIST))

    chosen = {"action": "close_rooms", "_selected_action": [str(one.pk)]}
    await async_client.post(LIST, chosen | {"confirmed": "1"}, follow=True)

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
    # To look is not to set.
    answer = await async_client.post(page(one), {"capacity": "1"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", [LIST, f"{LIST}1/close/", "/admin/live/"])
async def test_who_is_not_logged_in_is_asked_to(
    async_client: AsyncClient, path: str
) -> None:
    answer = await async_client.get(path)

    assert answer.status_code == 302
    assert "/admin/login/" in answer["location"]


@pytest.mark.usefixtures("own")
async def test_a_form_from_elsewhere_does_nothing(admin: AsyncClient) -> None:
    one = await room()
    strict = AsyncClient(enforce_csrf_checks=True)
    strict.cookies = admin.cookies

    answer = await strict.post(page(one, "close"))

    assert answer.status_code == 403
    assert (await Room.objects.aget()).closed is False


@pytest.mark.usefixtures("own")
async def test_many_admins_at_once(admin: AsyncClient) -> None:
    one = await room()

    answers = await asyncio.gather(*(admin.get(page(one)) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
