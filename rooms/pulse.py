"""Owns the beat of this process: once a second its figures are taken and told."""

from __future__ import annotations

import asyncio
import logging
from typing import Final
from weakref import WeakKeyDictionary

from rooms import figures
from rooms.siblings import siblings

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 1.0


class Pulse:
    """One event loop's beat."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Idempotent."""
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            began = self._loop.time()
            await asyncio.sleep(BEAT_SECONDS)
            figures.lag.seconds = self._loop.time() - began - BEAT_SECONDS
            try:
                self._beat()
            except Exception:
                logger.exception("A beat failed; the next one comes")

    def _beat(self) -> None:
        siblings.write(figures.take())


_pulses: WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = WeakKeyDictionary()


def pulse() -> Pulse:
    """The running loop's pulse."""
    loop = asyncio.get_running_loop()
    if loop not in _pulses:
        _pulses[loop] = Pulse()
    return _pulses[loop]
