"""The Django app `presence`."""

from django.apps import AppConfig


class PresenceConfig(AppConfig):
    """Who is present in a topic."""

    name = "presence"
