"""`manage.py beam_admin`: create the first admin on a development machine."""

from __future__ import annotations

import secrets
from itertools import chain, count
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

NAME = "admin"


class Command(BaseCommand):
    """Creates an admin with a random password, unless there is an admin."""

    help = "Create the first admin and print a random password (DEBUG=1 only)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises `CommandError` with DEBUG=0: output of production is often logged."""
        if not settings.DEBUG:
            raise CommandError(
                "beam_admin is for development (DEBUG=1). In production run "
                "`python manage.py createsuperuser`."
            )
        users = get_user_model().objects
        if users.filter(is_superuser=True).exists():
            self.stderr.write(
                "Admin: /admin/ (to set a new password: "
                "DEBUG=1 .venv/bin/python manage.py changepassword admin)"
            )
            return
        name = _free(NAME)
        password = secrets.token_urlsafe(12)
        users.create_superuser(name, "", password)
        self.stdout.write(f"Admin: /admin/ as {name} with the password {password}")
        self.stderr.write(
            "The password is not shown again. To set another: "
            f"`DEBUG=1 .venv/bin/python manage.py changepassword {name}`."
        )


def _free(name: str) -> str:
    """The name, with a number behind it if it is taken."""
    users = get_user_model().objects
    names = chain([name], (f"{name}{number}" for number in count(2)))
    return next(each for each in names if not users.filter(username=each).exists())
