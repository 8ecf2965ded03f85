"""Owns the background tasks of one event loop.

The caller does not wait for them; the stop of the process does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from beam.loops import per_loop
from beam.telemetry.logs import safe_traceback

logger = logging.getLogger(__name__)


class BackgroundTasks:
    """The tasks of one event loop that have not ended yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in the background. If it fails, this is logged.

        It does not run in the context of the caller, such as that of a request.
        """
        task = self._loop.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self) -> None:
        """Wait for all tasks, including those that start during the wait."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A background task failed: %s", safe_traceback(error))


@per_loop
def background_tasks() -> BackgroundTasks:
    """The background tasks of the running loop."""
    return BackgroundTasks()
