"""Presence storms: the first diff at once, the rest of a moment together."""

from __future__ import annotations

import asyncio

import pytest
from pytest_django.fixtures import Settings

from presence.state import by_ref
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")

PEOPLE = 30


async def test_a_storm_of_joins_is_told_in_few_diffs() -> None:
    [witness] = await connected("witness")
    await witness.join("storm")
    crowd = await connected(*(f"u{n}" for n in range(PEOPLE)))

    await asyncio.gather(*(client.try_join("storm") for client in crowd))

    seen: set[str] = set()
    diffs = 0
    while len(seen) < PEOPLE:
        joins = by_ref((await witness.event("presence_diff"))["joins"])
        assert not seen & set(joins)
        seen |= set(joins)
        diffs += 1
    assert diffs < PEOPLE / 2


async def test_each_of_a_storm_ends_with_the_same_presence() -> None:
    crowd = await connected(*(f"u{n}" for n in range(PEOPLE)))
    await asyncio.gather(*(client.try_join("agree") for client in crowd))

    for client in crowd:
        refs = set(by_ref(await state_of(client)))
        while len(refs) < PEOPLE:
            joins = set(by_ref((await client.event("presence_diff"))["joins"]))
            assert not refs & joins
            refs |= joins


async def state_of(client: Client) -> dict[str, dict[str, list[dict[str, object]]]]:
    """The state that a client got with its join."""
    state: dict[str, dict[str, list[dict[str, object]]]]
    state = await client.event("presence_state")
    return state


async def test_a_lone_change_is_told_at_once(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"presence_window": 60.0}
    ada = await Client("ada").connect()

    await ada.join("lone")

    assert await ada.is_silent()


async def test_without_a_window_each_change_is_told_by_itself(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"presence_window": 0.0}
    [witness] = await connected("witness")
    await witness.join("each")
    crowd = await connected("a", "b", "c")

    await asyncio.gather(*(client.try_join("each") for client in crowd))

    for _ in crowd:
        assert len((await witness.event("presence_diff"))["joins"]) == 1
