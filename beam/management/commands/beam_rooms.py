"""`manage.py beam_rooms`: the live rooms, or the members of one."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from urllib.parse import quote

from django.core.management.base import BaseCommand

from beam.management import api_client

PAGE = 1_000


class Command(BaseCommand):
    """Ask a running server, as a backend does."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`[ROOM_ID]`, and which server."""
        parser.add_argument("room_id", nargs="?", metavar="ROOM_ID")
        default = api_client.default_url()
        parser.add_argument("--url", default=default, help=f"default: {default}")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` for a server that is not there or refuses."""
        if options["room_id"] is None:
            self._rooms(options["url"])
        else:
            self._members(options["url"], options["room_id"])

    def _rooms(self, url: str) -> None:
        cursor: str | None = ""
        while cursor is not None:
            query = {"cursor": cursor, "limit": str(PAGE)}
            page = api_client.request("GET", "/api/v1/rooms", url, params=query).json()
            if not cursor:
                self.stdout.write("sessions\tusers\troom")
            for room in page["rooms"]:
                row = f"{room['sessions']}\t{room['users']}\t{room['room_id']}"
                self.stdout.write(row)
            cursor = page["cursor"]

    def _members(self, url: str, room_id: str) -> None:
        path = f"/api/v1/rooms/{quote(room_id, safe='')}/presence"
        answer = api_client.request("GET", path, url).json()
        self.stdout.write("session\tmetas")
        for member in answer["members"]:
            metas = json.dumps(member["metas"], ensure_ascii=False)
            self.stdout.write(f"{member['session']}\t{metas}")
