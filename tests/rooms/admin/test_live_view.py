"""What admins receive of a room and of the whole service."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from django.test import AsyncClient

from beam import redis
from beam.telemetry import metrics
from rooms.admin.time_series import SUMMED
from rooms.messaging.hub import hub
from rooms.monitoring.activity import activity
from rooms.monitoring.activity_buffer import activity_buffer, take_buffer
from rooms.monitoring.reporter import LIVE_TOPIC, REPORT_EVERY, REPORT_SECONDS, Reporter
from rooms.monitoring.warnings import recorder
from tests.clients import Client, connected
from tests.processes import ROOT
from tests.rooms.admin.watcher import Watcher, watching

pytestmark = [
    pytest.mark.usefixtures("running_hub"),
    pytest.mark.django_db(transaction=True),
]


async def test_an_admin_receives_what_members_receive_and_is_not_present(
    admin: AsyncClient,
) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("r")
    before = hub().members

    eve = await watching(admin, "room:r")

    assert set(await eve.event("presence_state")) == {"ada:1"}
    assert hub().members == before
    await bob.join("r")
    assert set((await eve.event("presence_diff"))["joins"]) == {"bob:1"}
    await bob.ask("room:r", "new_msg", {"broadcast": True, "text": "hi"})
    assert (await eve.event("new_msg"))["from"]["session"] == "bob:1"
    # The admin is not in presence.
    assert set(await (await connected("carol"))[0].join("r")) == {"ada:1", "bob:1"}


async def test_direct_messages_are_not_sent_to_admins(admin: AsyncClient) -> None:
    ada, bob = await connected("ada", "bob")
    await ada.join("r")
    await bob.join("r")
    eve = await watching(admin, "room:r")

    await ada.ask("room:r", "whisper", {"to": [{"user_id": "bob"}]})
    await ada.ask("room:r", "new_msg", {"broadcast": True})

    await bob.event("whisper")
    frames: list[str] = []
    while not frames or frames[-1] != "new_msg":
        frames.append((await eve.get())[3])
    assert "whisper" not in frames


async def test_an_admin_stays_when_members_are_removed(admin: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("r")
    eve = await watching(admin, "room:r")

    await backend_calls("rooms/r/close")

    assert await eve.event("beam_removed") == {"reason": "room_closed"}
    assert set((await eve.event("presence_diff"))["leaves"]) == {"ada:1"}
    # A closed room can be watched.
    await watching(admin, "room:r")


async def test_an_admin_receives_the_process_of_each_member(admin: AsyncClient) -> None:
    [ada] = await connected("ada")
    await ada.join("r")
    eve = await watching(admin, "room:r")
    [meta] = (await eve.event("presence_state"))["ada:1"]["metas"]

    answer = await room_state(eve)

    assert list(answer["owners"]) == [meta["phx_ref"]]
    assert " #" in answer["owners"][meta["phx_ref"]]


async def room_state(eve: Watcher) -> Any:
    """The reply to the event `room`."""
    return (await eve.ask("room:r", "room", {}))["response"]


async def backend_calls(path: str, **body: Any) -> None:
    """A call of the REST API."""
    secret = {"secret": "dev-secret"}
    answer = await AsyncClient().post(
        f"/api/v1/{path}", body, "application/json", headers=secret
    )
    assert answer.status_code == 200, answer.content


async def test_an_admin_receives_whether_the_room_is_closed(admin: AsyncClient) -> None:
    eve = await watching(admin, "room:r")
    assert (await room_state(eve))["closed"] is False

    await backend_calls("rooms/r/close")
    assert (await room_state(eve))["closed"] is True

    await backend_calls("rooms/r/open")
    assert (await room_state(eve))["closed"] is False


async def test_an_admin_receives_each_backend_event_at_once_and_once(
    admin: AsyncClient,
) -> None:
    eve = await watching(admin, "room:r")
    take_buffer()
    for name in ("first", "second"):
        await backend_calls("push_room_event", room_id="r", event=name, payload={})
    sent = (await room_state(eve))["sent"]
    assert [one["event"] for one in sent] == ["second", "first"]

    # The buffer is written to the store at the same time.
    await activity().add(activity_buffer, time.time())
    assert (await room_state(eve))["sent"] == sent

    take_buffer()
    await backend_calls("push_room_event", room_id="r", event="third", payload={})
    sent = (await room_state(eve))["sent"]
    assert [one["event"] for one in sent] == ["third", "second", "first"]


@pytest.mark.parametrize("topic", ["room:r", LIVE_TOPIC])
async def test_an_admin_cannot_send_events(admin: AsyncClient, topic: str) -> None:
    eve = await watching(admin, topic)

    reply = await eve.ask(topic, "new_msg", {"broadcast": True})

    assert reply["response"]["reason"] == "forbidden"


async def test_clients_cannot_join_the_live_view() -> None:
    [ada] = await connected("ada")

    reply = await ada.ask(LIVE_TOPIC, "phx_join", {})

    assert reply["response"]["reason"] == "unmatched topic"


async def next_report(reporter: Reporter, eve: Watcher) -> tuple[Any, list[str]]:
    """The next point of the live view, and the texts of its warnings."""
    for _ in range(REPORT_EVERY):
        await reporter.report()
    report = await eve.event("figures")
    return report["point"], [line["text"] for line in report["warnings"]]


async def live_view(admin: AsyncClient) -> tuple[Reporter, Watcher]:
    """A reporter that the test runs, and an admin in the live view."""
    eve = Watcher(admin)
    await eve.connect()
    await eve.ask(LIVE_TOPIC, "phx_join", {})
    recorder.take()
    reporter = Reporter()
    reporter._begin()
    return reporter, eve


async def test_only_messages_to_rooms_are_counted_as_messages(
    admin: AsyncClient,
) -> None:
    reporter, eve = await live_view(admin)
    [ada] = await connected("ada")

    await ada.join("r")
    for _ in range(5):
        await ada.ask("phoenix", "heartbeat", {})
    await ada.ask("room:r", "phx_leave", {})
    before, _ = await next_report(reporter, eve)
    await ada.join("r")
    await ada.ask("room:r", "new_msg", {"broadcast": True})
    await ada.ask("room:r", "new_msg", {"to": [{"user_id": "bob"}]})
    await ada.ask("room:r", "new_msg", {})
    activity_buffer.note_sent("room:r", "changed", "key:billing")
    after, _ = await next_report(reporter, eve)

    assert before["joins"] > 0
    assert before["messages"] == 0
    # Two of ada and one of a backend; the third of ada is refused.
    assert after["messages"] == pytest.approx(3 * after["joins"], rel=0.05)


async def test_each_error_is_a_warning_with_its_reason(
    admin: AsyncClient,
) -> None:
    reporter, eve = await live_view(admin)
    [ada] = await connected("ada")

    await ada.try_join("r", room_token="bad")
    await ada.try_join("r", session_id="a:b")
    assert await Client("ada", user_token="bad").is_refused()
    await ada.wire.send_to("no frame")
    await ada.closed_with()
    point, texts = await next_report(reporter, eve)

    assert point["errors"] > 0
    assert {
        "Connections refused: 1 (1 token)",
        "Joins refused: 2 (1 invalid_payload, 1 unauthorized)",
        "Connections closed after an invalid frame: 1",
    } <= {*texts}


async def test_the_live_view_receives_every_report(admin: AsyncClient) -> None:
    reporter = Reporter()
    await activity().add_report({"at": time.time(), "process": "other"}, [])
    eve = Watcher(admin)
    await eve.connect()
    reply = (await eve.ask(LIVE_TOPIC, "phx_join", {}))["response"]
    assert [point["process"] for point in reply["points"]] == ["other"]
    assert reply["steps"] == []
    assert reply["redis"] is True
    recorder.take()
    reporter._begin()
    [ada] = await connected("ada")
    await ada.join("r")
    metrics.SLOW_CONSUMERS.value += 3

    for _ in range(5):
        await reporter.report()

    report = await eve.event("figures")
    assert report["point"]["process"] == "local"
    assert report["point"]["members"] == hub().members >= 1
    assert report["point"]["joins"] > 0
    assert report["point"]["memory"] > 1e6
    texts = [line["text"] for line in report["warnings"]]
    assert "Slow clients closed: 3" in texts
    points, warnings = await activity().reports(time.time())
    assert points[-1] == report["point"]
    assert warnings[0] in report["warnings"]


async def test_the_live_view_receives_the_past_as_sums(admin: AsyncClient) -> None:
    now = time.time()
    values = dict.fromkeys(SUMMED, 2.5) | {"host": "h" * 40, "memory": 10**9}
    for at in range(int(now) - 895, int(now), int(REPORT_SECONDS)):
        for n in range(24):
            await activity().add_report({"at": at, "process": f"p{n}", **values}, [])
    eve = Watcher(admin)
    await eve.connect()

    reply = (await eve.ask(LIVE_TOPIC, "phx_join", {}))["response"]

    assert len(json.dumps(reply)) < 65_536
    assert {step["errors"] for step in reply["steps"]} == {60}
    numbers = [step["step"] for step in reply["steps"]]
    assert numbers == list(range(numbers[0], reply["next"]))
    assert reply["next"] in {now // REPORT_SECONDS - 1, now // REPORT_SECONDS}
    assert {point["process"] for point in reply["points"]} == {
        f"p{n}" for n in range(24)
    }


async def test_the_live_view_can_be_joined_while_redis_is_unavailable(
    admin: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: Any) -> Any:
        raise redis.NotSent

    for name in ("reports", "busiest"):
        monkeypatch.setattr(type(activity()), name, unavailable)
    eve = Watcher(admin)
    await eve.connect()

    reply = await eve.ask(LIVE_TOPIC, "phx_join", {})

    assert reply["status"] == "ok"
    answer = reply["response"]
    assert abs(answer["now"] - time.time()) < 5
    assert (answer["redis"], answer["points"], answer["steps"]) == (False, [], [])
    top = await eve.ask(LIVE_TOPIC, "top", {})
    assert top["response"]["reason"] == "unavailable"


def test_the_page_has_a_chart_for_each_sum() -> None:
    page = (ROOT / "rooms/static/rooms/admin/charts.js").read_text()
    tiles = page.partition("const TILES = [")[2].partition("];")[0]

    assert re.findall(r'\["(\w+)"', tiles) == list(SUMMED)


async def test_the_live_view_receives_the_busiest_rooms(admin: AsyncClient) -> None:
    take_buffer()
    reporter = Reporter()
    reporter._begin()
    ada, bob = await connected("ada", "bob")
    for name, times in (("quiet", 1), ("busy", 4)):
        await ada.join(name)
        for _ in range(times):
            await ada.ask(f"room:{name}", "new_msg", {"broadcast": True})
    await bob.join("busy")
    for _ in range(5):
        await reporter.report()
    eve = await watching(admin, LIVE_TOPIC)

    answer = (await eve.ask(LIVE_TOPIC, "top", {}))["response"]

    assert [room["room_id"] for room in answer["rooms"]] == ["busy", "quiet"]
    assert answer["rooms"][0] | {"per_minute": 4} == {
        "room_id": "busy",
        "per_minute": 4,
        "sessions": 2,
        "users": 2,
    }
    assert len(answer["processes"]) == 1
