"""Background tasks end when they are cancelled, whatever a library does."""

from __future__ import annotations

import asyncio

from beam.loops import goes_on


async def test_a_task_ends_whose_cancellation_was_replaced_by_an_error() -> None:
    began = asyncio.Event()

    async def work() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("while closing") from None

    async def rounds() -> int:
        done = 0
        while goes_on():
            try:
                await work()
            except ConnectionError:
                done += 1
        return done

    task = asyncio.get_running_loop().create_task(rounds())
    await began.wait()
    task.cancel()

    assert await asyncio.wait_for(task, 1) == 1
