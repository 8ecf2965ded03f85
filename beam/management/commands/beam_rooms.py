"""`manage.py beam_rooms`: list live rooms, or the members of one room."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from urllib.parse import quote

from django.core.management.base import BaseCommand

from beam.management import api_client

PAGE = 1_000


class Command(BaseCommand):
    """Prints what the REST API of a running server answers."""

    help = "List the live rooms of a running server, or the members of one room."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`[ROOM_ID]` and `--url`."""
        parser.add_argument(
            "room_id",
            nargs="?",
            metavar="ROOM_ID",
            help="list the members of this room",
        )
        default = api_client.default_url()
        parser.add_argument(
            "--url", default=default, help=f"of the server; default: {default}"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` if the server does not answer or refuses."""
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
