"""`manage.py beam_forget`: delete the rows of rooms that are of no use any more."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from beam import redis
from beam.config.conf import conf
from beam.redis import startup_check
from rooms.records import cleanup

AT_ONCE = 500


class Command(BaseCommand):
    """Rooms that nobody has joined for long, is in, or has set anything for."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--days`: for how long; `--dry-run`: only say how many."""
        parser.add_argument("--days", type=float, default=30.0)
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` where Redis is away: who is in cannot be told."""
        if options["days"] < 1:
            raise CommandError("--days is 1 or more: a stay is noted once an hour.")
        old = cleanup.old(options["days"])
        ids = list(old.values_list("room_id", flat=True))
        try:
            empty = async_to_sync(_empty)(ids)
        except redis.Unavailable as error:
            raise CommandError(f"{str(error).rstrip('.')}.") from None
        if not options["dry_run"]:
            for at in range(0, len(empty), AT_ONCE):
                old.filter(room_id__in=empty[at : at + AT_ONCE]).delete()
        said = "would be forgotten" if options["dry_run"] else "forgotten"
        self.stdout.write(f"{len(empty)} rooms {said}")


async def _empty(room_ids: list[str]) -> list[str]:
    """Those that nobody is in. Without Redis only the server knows who is."""
    if not conf().redis_url:
        return room_ids
    await startup_check.reach()
    try:
        return await cleanup.empty(room_ids)
    finally:
        await redis.close()
