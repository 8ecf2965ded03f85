"""Owns Django admin's pages of Beam: rooms, API keys, the live view."""

from rooms.admin.keys import ApiKeyAdmin
from rooms.admin.rooms import RoomAdmin

__all__ = ["ApiKeyAdmin", "RoomAdmin"]
