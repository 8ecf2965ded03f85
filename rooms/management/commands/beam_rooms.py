"""`manage.py beam_rooms`: the live rooms, or the members of one."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from beam.conf import conf

PAGE = 1_000


class Command(BaseCommand):
    """Ask a running server, as a backend does."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`[ROOM_ID]`, and which server."""
        parser.add_argument("room_id", nargs="?", metavar="ROOM_ID")
        default = f"http://{settings.HOST}:{settings.PORT}"
        parser.add_argument("--url", default=default, help=f"default: {default}")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` where the server does not answer well."""
        if not conf().api_secrets:
            raise CommandError("Set BEAM_API_SECRET: the server asks for it.")
        with httpx.Client(
            base_url=options["url"], headers={"secret": conf().api_secrets[0]}
        ) as client:
            if options["room_id"] is None:
                self._rooms(client)
            else:
                self._members(client, options["room_id"])

    def _rooms(self, client: httpx.Client) -> None:
        self.stdout.write("sessions\tusers\troom")
        cursor: str | None = ""
        while cursor is not None:
            query = {"cursor": cursor, "limit": str(PAGE)}
            page = _get(client, "/api/v1/rooms", query)
            for room in page["rooms"]:
                row = f"{room['sessions']}\t{room['users']}\t{room['room_id']}"
                self.stdout.write(row)
            cursor = page["cursor"]

    def _members(self, client: httpx.Client, room_id: str) -> None:
        path = f"/api/v1/rooms/{quote(room_id, safe='')}/presence"
        self.stdout.write("session\tmetas")
        for member in _get(client, path, {})["members"]:
            metas = json.dumps(member["metas"], ensure_ascii=False)
            self.stdout.write(f"{member['session']}\t{metas}")


def _get(client: httpx.Client, path: str, query: dict[str, str]) -> Any:
    try:
        answer = client.get(path, params=query)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise CommandError(f"{client.base_url}: {error}") from None
    return answer.json()
