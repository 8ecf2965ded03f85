"""Which `Channel` class serves a topic.

As in Phoenix: a pattern is exact, or ends in `*`. `room:*` is Beam's own; a
project adds classes in `settings.BEAM["channels"]`.
"""

from __future__ import annotations

from django.utils.module_loading import import_string

from beam.config.conf import conf
from beam.loops import per_settings
from rooms.channels.channel import Channel
from rooms.channels.room import RoomChannel


class Patterns:
    """Topic patterns and their classes: exact, or `prefix*`. First match wins."""

    def __init__(self, classes: dict[str, type[Channel]]) -> None:
        self._classes = classes

    def find(self, topic: str) -> type[Channel] | None:
        """The class for a topic, or None."""
        for pattern, found in self._classes.items():
            if topic == pattern or (
                pattern.endswith("*") and topic.startswith(pattern[:-1])
            ):
                return found
        return None

    def __contains__(self, topic: object) -> bool:
        """Whether a topic has a class."""
        return isinstance(topic, str) and self.find(topic) is not None


OWN_CHANNELS: dict[str, type[Channel]] = {"room:*": RoomChannel}


@per_settings
def patterns() -> Patterns:
    """Beam's own channels, then those of the project."""
    added = {name: import_string(path) for name, path in conf().channels.items()}
    return Patterns(OWN_CHANNELS | added)
