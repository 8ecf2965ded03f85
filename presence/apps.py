"""Owns the app `presence`."""

from django.apps import AppConfig


class PresenceConfig(AppConfig):
    """Who is here."""

    name = "presence"
