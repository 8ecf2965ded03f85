"""The Django app `rooms`."""

from django.apps import AppConfig


class RoomsConfig(AppConfig):
    """Rooms, their members, and the delivery of events."""

    name = "rooms"
    # The heading of rooms and API keys in Django admin.
    verbose_name = "Beam"

    def ready(self) -> None:
        """Register the system checks of Beam's settings."""
        from beam.config import checks  # noqa: F401
