"""Background tasks: failures are logged, and `finish` waits for all of them."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from rooms.messaging.background_tasks import BackgroundTasks

request: ContextVar[str] = ContextVar("request", default="none")


async def test_finish_waits_for_tasks_that_tasks_start() -> None:
    tasks, log = BackgroundTasks(), list[str]()

    async def second() -> None:
        await asyncio.sleep(0)
        log.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        tasks.spawn(second())
        log.append("first")

    tasks.spawn(first())
    await tasks.finish()

    assert log == ["first", "second"]


async def test_a_failure_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks, quoted = BackgroundTasks(), "secret".upper()

    async def fail() -> None:
        raise RuntimeError(quoted)

    tasks.spawn(fail())
    await tasks.finish()

    [line] = caplog.messages
    assert line.startswith("A background task failed: ")
    assert line.endswith("RuntimeError")
    assert quoted not in line


async def test_a_task_does_not_run_in_the_context_of_a_request() -> None:
    tasks = BackgroundTasks()
    request.set("a request")

    async def read() -> str:
        return request.get()

    assert await tasks.spawn(read()) == "none"
