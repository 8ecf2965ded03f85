"""What both stores of recent activity promise: in memory and in Redis."""

from __future__ import annotations

import asyncio

import pytest

from beam import redis
from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.messaging.hub import Hub
from rooms.monitoring.activity import Activity, activity
from rooms.monitoring.activity_buffer import MAX_COUNTED, ActivityBuffer
from rooms.monitoring.activity_records import (
    KEPT_SECONDS,
    MAX_SENT,
    MAX_TOPICS,
    MAX_WARNINGS,
)

# The beginning of a minute.
NOON = 1_789_992_000.0


@pytest.fixture
async def kept(backend: str, running_hub: Hub) -> Activity:
    """An empty store."""
    if conf().redis_url:
        await redis.batch().call("FLUSHALL")
    return activity()


pytestmark = pytest.mark.parametrize(
    "backend",
    ["in process", pytest.param("redis", marks=pytest.mark.redis)],
    indirect=True,
)


def messages(**counts: int) -> ActivityBuffer:
    """So many messages to each topic."""
    return ActivityBuffer(messages=counts)


async def test_messages_of_processes_add_up(kept: Activity) -> None:
    await kept.add(messages(a=3, b=1), NOON)
    await kept.add(messages(a=4), NOON + 10)

    assert await kept.per_minute(["a", "b", "c"], NOON + 20) == [7, 1, 0]
    assert await kept.per_minute([], NOON) == []


async def test_many_busy_topics_do_not_delay_other_calls(kept: Activity) -> None:
    many = {f"t{n}": 1 for n in range(2_600)}
    adding = asyncio.create_task(kept.add(ActivityBuffer(messages=many), NOON))
    await asyncio.sleep(0)

    # This call is answered long before the last topic is added.
    seen = await kept.per_minute(list(many), NOON)

    if conf().redis_url:
        assert sum(seen) <= redis.CALLS_AT_ONCE
    await adding
    assert sum(await kept.per_minute(list(many), NOON)) == len(many)


@pytest.mark.parametrize("count", [1, 1_200])
async def test_counts_of_messages_expire(kept: Activity, count: int) -> None:
    await kept.add(messages(**{f"t{n}": 1 for n in range(count)}), NOON)

    if conf().redis_url:
        [key] = await redis.batch().call("KEYS", "*activity:messages*")
        assert 0 < await redis.batch().call("TTL", key) <= 180
    assert await kept.busiest(3, NOON + 180) == []


async def test_a_minute_counts_less_as_the_next_one_passes(kept: Activity) -> None:
    await kept.add(messages(a=60), NOON)
    await kept.add(messages(a=10), NOON + 60)

    at = [NOON + 60, NOON + 75, NOON + 119]
    assert [(await kept.per_minute(["a"], t))[0] for t in at] == [70, 55, 11]
    assert await kept.per_minute(["a"], NOON + 120) == [10]
    assert await kept.per_minute(["a"], NOON + 180) == [0]


async def test_the_busiest_come_first(kept: Activity) -> None:
    await kept.add(messages(a=3, b=9, c=1, d=5), NOON)

    assert await kept.busiest(3, NOON + 1) == [("b", 9), ("d", 5), ("a", 3)]
    assert await kept.busiest(3, NOON + 600) == []


async def test_the_last_events_of_backends_are_kept_newest_first(
    kept: Activity,
) -> None:
    buffer = ActivityBuffer()
    for n in range(MAX_SENT + 5):
        buffer.note_sent("a", f"e{n}", "key:billing")
    buffer.note_sent("b", "other", "secret")
    await kept.add(buffer, NOON)

    found = await kept.sent("a")

    assert [record["event"] for record in found[:2]] == ["e24", "e23"]
    assert len(found) == MAX_SENT
    assert {record["by"] for record in found} == {"key:billing"}
    assert [record["event"] for record in await kept.sent("b")] == ["other"]
    assert await kept.sent("c") == []
    # They count as messages too.
    assert (await kept.per_minute(["a"], NOON))[0] == MAX_SENT + 5


async def test_points_are_kept_for_15_minutes(kept: Activity) -> None:
    for at in (NOON, NOON + KEPT_SECONDS, NOON + KEPT_SECONDS + 5):
        await kept.add_report({"at": at, "process": "p"}, [])

    points, _ = await kept.reports(NOON + KEPT_SECONDS + 5)

    assert [point["at"] for point in points] == [
        NOON + KEPT_SECONDS,
        NOON + KEPT_SECONDS + 5,
    ]


async def test_the_last_warnings_are_kept_newest_first(kept: Activity) -> None:
    lines = [{"at": NOON + n, "text": f"w{n}"} for n in range(MAX_WARNINGS + 10)]
    await kept.add_report({"at": NOON}, lines[:5])
    await kept.add_report({"at": NOON + 1}, lines[5:])

    _, warnings = await kept.reports(NOON + 1)

    assert [line["text"] for line in warnings[:2]] == [
        f"w{MAX_WARNINGS + 9}",
        f"w{MAX_WARNINGS + 8}",
    ]
    assert len(warnings) == MAX_WARNINGS


async def test_old_warnings_are_left_out(kept: Activity) -> None:
    await kept.add_report({"at": NOON}, [{"at": NOON, "text": "old"}])
    later = NOON + KEPT_SECONDS + 1
    await kept.add_report({"at": later}, [{"at": later, "text": "new"}])

    _, warnings = await kept.reports(later)

    assert [line["text"] for line in warnings] == ["new"]


async def test_the_buffer_is_bounded(kept: Activity) -> None:
    buffer = ActivityBuffer()
    for n in range(MAX_TOPICS + 10):
        buffer.note_sent(f"t{n}", "e", "secret")

    assert len(buffer.sent) == MAX_TOPICS
    await kept.add(buffer, NOON)
    assert (await kept.per_minute([f"t{MAX_TOPICS + 5}"], NOON)) == [1]


async def test_topics_to_which_only_backends_send_are_bounded(kept: Activity) -> None:
    buffer = ActivityBuffer()
    before = metrics.ROOM_MESSAGES.value
    for n in range(MAX_COUNTED + 10):
        buffer.note_sent(f"t{n}", "e", "secret")
    buffer.note_message("a room with members")

    assert len(buffer.messages) == MAX_COUNTED + 1
    assert metrics.ROOM_MESSAGES.value - before == MAX_COUNTED + 11
