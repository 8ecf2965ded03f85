"""The apps of the project: the commands of Beam, and Django admin with its site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class BeamConfig(AppConfig):
    """The project as an app: Django finds its commands in `beam.management`."""

    name = "beam"


class BeamAdminConfig(AdminConfig):
    """Django admin, with the live view."""

    default_site = "rooms.site.BeamAdminSite"
