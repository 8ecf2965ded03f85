"""Owns the rooms whose database rows are to be written.

A join only notes its room. If the room still has members `room_row_seconds` later,
its row is written, with many others in one query. `last_joined` is updated at most
once an hour. Messages, and rooms that end sooner, cause no write.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

from channels.db import database_sync_to_async
from django.db import Error as DatabaseError
from django.utils import timezone

from beam.config.conf import conf
from beam.telemetry import metrics
from rooms.models import Room

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 3_600.0
RETRY_SECONDS: Final = 10.0
BATCH_SIZE: Final = 500
MAX_KNOWN: Final = 100_000


def _always(_: str) -> bool:
    return True


class RoomRows:
    """The rooms that were joined recently, and those that are to be written."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}
        # When each room is due if it still has members, in the order of the joins.
        self._new: dict[str, float] = {}
        # In the order of the joins.
        self._due: dict[str, None] = {}
        self._wait_until = 0.0

    def joined(self, room_id: str) -> None:
        """Note a join. Costs one look-up in most cases."""
        now = time.monotonic()
        if self._known.get(room_id, 0.0) > now:
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[room_id] = now + AGAIN_SECONDS
        if len(self._new) < MAX_KNOWN:
            self._new.setdefault(room_id, now + conf().room_row_seconds)
        else:
            metrics.ROOMS_UNWRITTEN.value += 1

    def forget(self, room_ids: Iterable[str]) -> None:
        """Forget rooms whose rows were deleted: their next join makes a new row."""
        for room_id in room_ids:
            self._known.pop(room_id, None)

    def _make_due(self, has_members: Callable[[str], bool]) -> None:
        """Make rooms due that are old enough, and drop those that have ended."""
        now, every = time.monotonic(), conf().room_row_seconds == 0
        for room_id in list(takewhile(self._is_old_enough(now), self._new)):
            del self._new[room_id]
            if every or has_members(room_id):
                self._due[room_id] = None
            else:
                # Its next join is noted again.
                self._known.pop(room_id, None)

    def _is_old_enough(self, now: float) -> Callable[[str], bool]:
        room = MAX_KNOWN - len(self._due)
        return lambda room_id: room > 0 and self._new[room_id] <= now

    async def write(self, has_members: Callable[[str], bool] = _always) -> None:
        """Write one batch of the rooms that are due; later again if that fails.

        `has_members`: whether a room has members now.
        """
        self._make_due(has_members)
        if not self._due or time.monotonic() < self._wait_until:
            return
        taken = list(self._due)[:BATCH_SIZE]
        try:
            await database_sync_to_async(_write)(taken)
        except DatabaseError as error:
            text = "Cannot write the rows of rooms (manage.py migrate?): %s"
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


room_rows = RoomRows()
