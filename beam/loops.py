"""What background tasks share."""

from __future__ import annotations

import asyncio


def goes_on() -> bool:
    """Whether the current task may begin its next round.

    False after a cancellation, even one that a library replaced by an exception of
    its own: redis-py does so if it fails to close a connection meanwhile.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()
