"""`manage.py beam_key`: create, list and revoke API keys."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from rooms.auth import api_keys
from rooms.models import ApiKey


class Command(BaseCommand):
    """Creates, lists and revokes API keys. A key is printed once, and stored hashed."""

    help = "Create, list and revoke API keys of backends."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`create NAME`, `list` or `revoke NAME`."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser(
            "create", help="create a key and print it; it is not shown again"
        )
        create.add_argument("name")
        create.add_argument(
            "--scopes",
            default=",".join(api_keys.SCOPES),
            help="what the key may do, separated by commas; default: %(default)s",
        )
        actions.add_parser(
            "list", help="list all keys with scopes, creation date and last use"
        )
        actions.add_parser("revoke", help="revoke a key").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` for a name that is taken, empty or unknown."""
        action = options["action"]
        if action == "create":
            self._create(options["name"], options["scopes"])
        elif action == "list":
            self._list()
        elif not api_keys.revoke(options["name"]):
            raise CommandError(f"There is no active key {options['name']!r}.")
        else:
            self.stderr.write(
                f"Revoked. All processes refuse it within {api_keys.CACHE_SECONDS:g} s."
            )

    def _create(self, name: str, scopes: str) -> None:
        if not name.strip():
            raise CommandError("The name of a key must not be empty.")
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        try:
            key = api_keys.create(name, wanted)
        except api_keys.UnknownScope as error:
            known = ", ".join(api_keys.SCOPES)
            raise CommandError(f"{error}. Scopes are {known}.") from None
        except IntegrityError:
            message = f"A key {name!r} exists or existed. Choose another name."
            raise CommandError(message) from None
        self.stdout.write(key)
        self.stderr.write("Keep the key safe: it is not shown again.")

    def _list(self) -> None:
        for key in ApiKey.objects.all():
            state = "revoked" if key.revoked else "active"
            used = f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "never"
            self.stdout.write(
                f"{key.name}\t{state}\t{','.join(key.scopes)}"
                f"\tcreated {key.created:%Y-%m-%d}\tlast used {used}"
            )
