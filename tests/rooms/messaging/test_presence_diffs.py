"""Many changes of presence: the first is sent at once, later ones together."""

from __future__ import annotations

import asyncio

import pytest
from pytest_django.fixtures import Settings

from presence.state import by_ref
from tests.clients import Client, connected

pytestmark = pytest.mark.usefixtures("running_hub")

COUNT = 30


async def test_many_joins_at_once_are_sent_in_few_diffs() -> None:
    [observer] = await connected("observer")
    await observer.join("busy")
    clients = await connected(*(f"u{n}" for n in range(COUNT)))

    await asyncio.gather(*(client.try_join("busy") for client in clients))

    seen: set[str] = set()
    diffs = 0
    while len(seen) < COUNT:
        joins = by_ref((await observer.event("presence_diff"))["joins"])
        assert not seen & set(joins)
        seen |= set(joins)
        diffs += 1
    assert diffs < COUNT / 2


async def test_after_many_joins_all_members_have_the_same_presence() -> None:
    clients = await connected(*(f"u{n}" for n in range(COUNT)))
    await asyncio.gather(*(client.try_join("agree") for client in clients))

    for client in clients:
        refs = set(by_ref(await state_of(client)))
        while len(refs) < COUNT:
            joins = set(by_ref((await client.event("presence_diff"))["joins"]))
            assert not refs & joins
            refs |= joins


async def state_of(client: Client) -> dict[str, dict[str, list[dict[str, object]]]]:
    """The state that a client got with its join."""
    state: dict[str, dict[str, list[dict[str, object]]]]
    state = await client.event("presence_state")
    return state


async def test_a_single_change_is_sent_at_once(settings: Settings) -> None:
    settings.BEAM = settings.BEAM | {"presence_window": 60.0}
    ada = await Client("ada").connect()

    await ada.join("lone")

    assert await ada.is_silent()


async def test_without_a_window_each_change_is_a_diff_of_its_own(
    settings: Settings,
) -> None:
    settings.BEAM = settings.BEAM | {"presence_window": 0.0}
    [observer] = await connected("observer")
    await observer.join("each")
    clients = await connected("a", "b", "c")

    await asyncio.gather(*(client.try_join("each") for client in clients))

    for _ in clients:
        assert len((await observer.event("presence_diff"))["joins"]) == 1
