"""`manage.py beam_forget`: delete database rows of unused rooms."""

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
    """Deletes rows of rooms without members, settings and recent joins."""

    help = "Delete the database rows of rooms that no member has joined for some time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--days` and `--dry-run`."""
        parser.add_argument(
            "--days",
            type=float,
            default=30.0,
            help="days without a join, 1 or more; default: %(default)g",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="delete nothing, print how many rows would be deleted",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` if Redis is unavailable: it knows the members."""
        if options["days"] < 1:
            raise CommandError(
                "--days must be 1 or more: joins are recorded once an hour."
            )
        old = cleanup.old(options["days"])
        ids = list(old.values_list("room_id", flat=True))
        try:
            empty = async_to_sync(_empty)(ids)
        except redis.Unavailable as error:
            raise CommandError(f"{str(error).rstrip('.')}.") from None
        if not options["dry_run"]:
            for at in range(0, len(empty), AT_ONCE):
                old.filter(room_id__in=empty[at : at + AT_ONCE]).delete()
        done = "would be deleted" if options["dry_run"] else "deleted"
        self.stdout.write(f"{len(empty)} rooms {done}")


async def _empty(room_ids: list[str]) -> list[str]:
    """The rooms without members. Without Redis, only the server knows its members."""
    if not conf().redis_url:
        return room_ids
    await startup_check.reach()
    try:
        return await cleanup.empty(room_ids)
    finally:
        await redis.close()
