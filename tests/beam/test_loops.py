"""Objects per loop and per settings; tasks that end when they are cancelled."""

from __future__ import annotations

import asyncio

import pytest
from pytest_django.fixtures import Settings

from beam.loops import PerLoop, not_cancelled, per_loop, per_settings


async def test_a_task_ends_although_an_error_replaced_its_cancellation() -> None:
    began = asyncio.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("while closing") from None

    async def rounds() -> int:
        done = 0
        while not_cancelled():
            try:
                await work()
            except ConnectionError:
                done += 1
        return done

    task = asyncio.get_running_loop().create_task(rounds())
    await began.wait()
    task.cancel()

    assert await asyncio.wait_for(task, 1) == 1


async def test_each_loop_has_its_own_object() -> None:
    made = per_loop(object)

    mine = made()

    assert made() is mine
    assert await asyncio.to_thread(asyncio.run, called(made)) is not mine
    assert made.pop() is mine
    assert made() is not mine


async def called(made: PerLoop[object]) -> object:
    return made()


def test_without_a_loop_there_is_no_object() -> None:
    with pytest.raises(RuntimeError):
        per_loop(object)()


def test_an_object_of_the_settings_is_replaced_when_they_change(
    settings: Settings,
) -> None:
    made = per_settings(object)
    before = made()
    assert made() is before

    settings.BEAM = {**settings.BEAM}

    assert made() is not before
