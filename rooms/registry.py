"""Owns which rooms the database has a row of: each, from its first join on.

A join only notes its room; rows are written a moment later, many at once, and
`last_joined` is brought up to date once an hour. Nothing is written for a message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.utils import timezone

from beam import metrics
from rooms.models import Room

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 3_600.0
RETRY_SECONDS: Final = 10.0
AT_ONCE: Final = 500
MAX_KNOWN: Final = 100_000


class Registry:
    """The rooms that were joined of late, and which of them are to be written."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        # In the order of their joins.
        self._due: dict[str, None] = {}
        self._wait_until = 0.0

    def joined(self, room_id: str) -> None:
        """Somebody joined; costs a look into a table."""
        now = time.monotonic()
        if self._known.get(room_id, 0.0) > now:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[room_id] = now + AGAIN_SECONDS
        if len(self._due) < MAX_KNOWN:
            self._due[room_id] = None
        else:
            metrics.ROOMS_UNWRITTEN.value += 1

    def forget(self, room_ids: Iterable[str]) -> None:
        """Rooms whose rows are gone: their next join is a first one."""
        for room_id in room_ids:
            self._known.pop(room_id, None)

    async def write(self) -> None:
        """Write what is due, as much as goes at once; try again where it fails."""
        if not self._due or time.monotonic() < self._wait_until:
            return
        taken = list(self._due)[:AT_ONCE]
        try:
            await database_sync_to_async(_write)(taken)
        except DatabaseError as error:
            text = "Rooms cannot be written down (manage.py migrate?): %s"
            logger.warning(text, type(error).__name__)
            self._wait_until = time.monotonic() + RETRY_SECONDS
            return
        for room_id in taken:
            self._due.pop(room_id, None)


def _write(room_ids: Sequence[str]) -> None:
    now = timezone.now()
    rows = [Room(room_id=room_id, last_joined=now) for room_id in room_ids]
    Room.objects.bulk_create(rows, ignore_conflicts=True)
    Room.objects.filter(room_id__in=room_ids).update(last_joined=now)


registry = Registry()
