"""Owns what the database keeps: rooms that admins changed, and API keys."""

from __future__ import annotations

from django.db import models

from rooms.address import MAX_ROOM_ID


class Room(models.Model):
    """A room that somebody changed. Rooms exist without a row."""

    room_id = models.CharField(max_length=MAX_ROOM_ID, unique=True)
    closed = models.BooleanField(default=False, db_index=True)
    changed = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.room_id


class ApiKey(models.Model):
    """A backend's key. Only its hash is kept; `name` is how people call it."""

    name = models.CharField(max_length=100, unique=True)
    hashed = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True, editable=False)
    revoked = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
