"""`manage.py beam_token`: print a user token or a room token."""

from __future__ import annotations

from argparse import ArgumentParser
from math import isfinite
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from beam.config.conf import conf
from rooms.auth import grants, jwt_tokens
from rooms.protocol import identifiers
from rooms.protocol.frame import BadFrame
from rooms.protocol.identifiers import room_topic
from rooms.protocol.json_text import loads

HOUR = 3_600
# A hundred years.
LONGEST = 3_155_760_000


class Command(BaseCommand):
    """Prints a token, signed with `BEAM_TOKEN_SECRET`, and nothing else."""

    help = "Print a user token or a room token, signed with BEAM_TOKEN_SECRET."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`user USER_ID` or `room ROOM_ID`, each with its options."""
        kinds = parser.add_subparsers(dest="kind", required=True)
        user = kinds.add_parser("user", help="token for a user to connect with")
        user.add_argument("id", metavar="USER_ID", help="id of the user")
        room = kinds.add_parser("room", help="token for a user to join a room with")
        room.add_argument("id", metavar="ROOM_ID", help="id of the room")
        room.add_argument(
            "--user", help="the only user that may use the token; default: any user"
        )
        room.add_argument(
            "--can", help="rights, separated by commas; default: push,presence"
        )
        room.add_argument(
            "--meta", help="presence meta that clients cannot change, a JSON object"
        )
        for kind in (user, room):
            kind.add_argument(
                "--ttl",
                type=float,
                default=HOUR,
                metavar="SECONDS",
                help="seconds until the token expires; default: %(default)s",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` for invalid values."""
        if not conf().token_secrets:
            raise CommandError(
                "Set BEAM_TOKEN_SECRET: beam_token signs with it. An identity provider "
                "or the backend of BEAM_BACKEND_URL issues its own tokens."
            )
        if not isfinite(options["ttl"]) or abs(options["ttl"]) > LONGEST:
            raise CommandError(f"--ttl must be a number of seconds up to {LONGEST:,}.")
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
        raise CommandError(f"--can accepts {known}, not {', '.join(sorted(unknown))}.")
    return verbs


def _meta(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        meta = loads(text, conf().max_message_depth)
    except BadFrame as error:
        raise CommandError(f"--meta is not JSON: {error}.") from None
    if not isinstance(meta, dict):
        raise CommandError("--meta must be a JSON object.")
    return meta
