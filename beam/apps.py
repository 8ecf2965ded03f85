"""Django apps: the commands of Beam, and the admin with its own site."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class BeamConfig(AppConfig):
    """Makes Django find the commands in `beam.management`."""

    name = "beam"


class BeamAdminConfig(AdminConfig):
    """Django admin, with the live view."""

    default_site = "rooms.admin.site.BeamAdminSite"

    def ready(self) -> None:
        """Register Beam's pages.

        Not where `rooms.admin` is imported: the site is in that package, and would be
        made twice.
        """
        super().ready()
        for pages in ("rooms.admin.keys", "rooms.admin.rooms"):
            import_module(pages)
