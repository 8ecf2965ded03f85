"""`manage.py beam_token`: prints a user or a room token."""

from __future__ import annotations

from argparse import ArgumentParser
from math import isfinite
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from beam.config.conf import conf
from rooms.auth import grants, jwt_tokens
from rooms.protocol import identifiers
from rooms.protocol.identifiers import room_topic
from rooms.protocol.json_text import loads
from rooms.protocol.messages import BadFrame

HOUR = 3_600
# A hundred years.
LONGEST = 3_155_760_000


class Command(BaseCommand):
    """Print a token signed with `BEAM_TOKEN_SECRET`, and nothing else."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`user USER_ID` or `room ROOM_ID`, each with its options."""
        kinds = parser.add_subparsers(dest="kind", required=True)
        user = kinds.add_parser("user", help="who somebody is")
        user.add_argument("id", metavar="USER_ID")
        room = kinds.add_parser("room", help="which room somebody may join")
        room.add_argument("id", metavar="ROOM_ID")
        room.add_argument("--user", help="only this user may use it")
        room.add_argument("--can", help="push,presence (default: both)")
        room.add_argument("--meta", help="trusted presence meta, a JSON object")
        for kind in (user, room):
            kind.add_argument("--ttl", type=float, default=HOUR, metavar="SECONDS")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` for what cannot become a token."""
        if not conf().token_secrets:
            raise CommandError(
                "Set BEAM_TOKEN_SECRET: `beam_token` signs with it. Tokens of an "
                "identity provider or of BEAM_BACKEND_URL are made there."
            )
        if not isfinite(options["ttl"]) or abs(options["ttl"]) > LONGEST:
            raise CommandError(f"--ttl is a number of seconds up to {LONGEST:,}.")
        mint = self._user if options["kind"] == "user" else self._room
        self.stdout.write(mint(options))

    def _user(self, options: dict[str, Any]) -> str:
        return jwt_tokens.mint_user(_user_id(options["id"]), options["ttl"])

    def _room(self, options: dict[str, Any]) -> str:
        try:
            room_topic(options["id"])
        except ValueError as error:
            raise CommandError(f"{options['id']!r}: {error}") from None
        user = options["user"]
        return jwt_tokens.mint_room(
            options["id"],
            options["ttl"],
            user_id=None if user is None else _user_id(user),
            can=_can(options["can"]),
            meta=_meta(options["meta"]),
        )


def _user_id(text: str) -> str:
    try:
        return identifiers.user_id(text)
    except ValueError as error:
        raise CommandError(f"{text!r}: {error}") from None


def _can(text: str | None) -> list[str] | None:
    if text is None:
        return None
    verbs = [verb.strip() for verb in text.split(",") if verb.strip()]
    if unknown := set(verbs) - grants.RIGHTS:
        known = ", ".join(sorted(grants.RIGHTS))
        raise CommandError(f"--can knows {known}; not {', '.join(sorted(unknown))}.")
    return verbs


def _meta(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        meta = loads(text, conf().max_message_depth)
    except BadFrame as error:
        raise CommandError(f"--meta is not JSON: {error}.") from None
    if not isinstance(meta, dict):
        raise CommandError("--meta is a JSON object.")
    return meta
