"""Grace periods: an entry stays for a time after a lost connection."""

from __future__ import annotations

import asyncio

import pytest

from presence.admission import EVERYONE
from presence.factory import tracker
from rooms.messaging.grace_period import GracePeriods, end_grace, grace_periods
from rooms.messaging.hub import Hub
from tests.clients import until
from tests.fakes import FakeMember


async def track(topic: str) -> str:
    """Add an entry to a topic; returns its ref."""
    return (await tracker().track(topic, "ada:1", {}, "ada")).ref


async def present(topic: str) -> list[str]:
    return list((await tracker().list(topic)).state)


async def test_an_entry_leaves_at_the_end_of_its_grace_period(
    running_hub: Hub,
) -> None:
    member = FakeMember("t")
    await running_hub.attach(member)
    ref = await track("t")

    await GracePeriods().begin("t", ref, 0.05)
    assert await present("t") == ["ada:1"]

    await until(lambda: bool(member.fake.got))
    [diff] = member.fake.got
    assert list(diff["leaves"]) == ["ada:1"]
    assert await present("t") == []


@pytest.mark.usefixtures("running_hub")
async def test_a_stop_cancels_all_timers_and_returns_the_longest() -> None:
    periods = GracePeriods()
    await periods.begin("t", await track("t"), 0.01)
    await periods.begin("u", await track("u"), 60.0)

    left = periods.stop()
    await asyncio.sleep(0.03)

    assert 59.0 < left <= 60.0
    assert await present("t") == ["ada:1"]
    assert periods.stop() == 0.0


@pytest.mark.usefixtures("running_hub")
async def test_a_ban_ends_grace_periods_at_once() -> None:
    await grace_periods().begin("t", await track("t"), 60.0)

    await end_grace("t", EVERYONE)

    assert await present("t") == []


@pytest.mark.usefixtures("running_hub")
async def test_a_banned_member_has_no_grace_period() -> None:
    ref = await track("t")
    await tracker().ban("t", EVERYONE)

    await grace_periods().begin("t", ref, 60.0)

    assert await present("t") == []
    assert grace_periods().stop() == 0.0
