"""The tables of Beam: rooms, and API keys."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from beam.config.ranges import DAY
from rooms.protocol.identifiers import MAX_ROOM_ID, room_topic


def check_room_id(room_id: str) -> None:
    """Raises `ValidationError` if it is not a valid room id."""
    try:
        room_topic(room_id)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class Room(models.Model):
    """A room that had members for a while, or that an admin added."""

    room_id = models.CharField(
        "room id",
        max_length=MAX_ROOM_ID,
        unique=True,
        validators=[check_room_id],
        help_text="1 to 200 characters, no control characters.",
    )
    closed = models.BooleanField(default=False, db_index=True)
    capacity = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Maximum sessions. 0 = unlimited, blank = server default.",
    )
    presence_grace = models.FloatField(
        "presence grace",
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0), MaxValueValidator(DAY)],
        help_text="Seconds that a member stays present after its connection was "
        "lost. Blank = server default.",
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    last_joined = models.DateTimeField(null=True, editable=False)
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("room_id",)
        permissions = (
            ("steer_room", "Can remove members, close rooms and send events"),
        )

    def __str__(self) -> str:
        return self.room_id


class ApiKey(models.Model):
    """An API key of a backend. Only its hash is stored; `name` is for people."""

    name = models.CharField(max_length=100, unique=True)
    hashed = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, editable=False)
    revoked = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.name
