"""`manage.py beam_key`: API keys of backends."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from rooms.auth import api_keys
from rooms.models import ApiKey


class Command(BaseCommand):
    """Create, list and revoke API keys. A key is shown once, and stored hashed."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`create NAME`, `list` or `revoke NAME`."""
        doing = parser.add_subparsers(dest="doing", required=True)
        create = doing.add_parser("create", help="print a new key, nothing else")
        create.add_argument("name")
        create.add_argument(
            "--scopes",
            default=",".join(api_keys.SCOPES),
            help="what it may do, separated by commas; default: %(default)s",
        )
        doing.add_parser("list", help="names, scopes, when made and used")
        doing.add_parser("revoke", help="refuse a key from now on").add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` for a name that is taken, or is none."""
        doing = options["doing"]
        if doing == "create":
            self._create(options["name"], options["scopes"])
        elif doing == "list":
            self._list()
        elif not api_keys.revoke(options["name"]):
            raise CommandError(f"There is no key {options['name']!r} in force.")
        else:
            self.stderr.write(
                f"Revoked. Processes refuse it within {api_keys.CACHE_SECONDS:g} s."
            )

    def _create(self, name: str, scopes: str) -> None:
        if not name.strip():
            raise CommandError("A key needs a name.")
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        try:
            key = api_keys.create(name, wanted)
        except api_keys.UnknownScope as error:
            known = ", ".join(api_keys.SCOPES)
            raise CommandError(f"{error}; there are {known}.") from None
        except IntegrityError:
            message = f"There is, or was, a key {name!r} already; choose another name."
            raise CommandError(message) from None
        self.stdout.write(key)
        self.stderr.write("Keep it safe: it is not shown again.")

    def _list(self) -> None:
        for key in ApiKey.objects.all():
            state = "revoked" if key.revoked else "in force"
            used = f"{key.last_used:%Y-%m-%d %H:%M}" if key.last_used else "never"
            self.stdout.write(
                f"{key.name}\t{state}\t{','.join(key.scopes)}"
                f"\tmade {key.created:%Y-%m-%d}\tused {used}"
            )
