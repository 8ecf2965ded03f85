"""The HTTP API of Beam for Python backends: events, presence, rooms, tokens."""

from beam_client.answers import Member, Room, RoomDetails
from beam_client.async_client import AsyncBeam
from beam_client.calls import Event
from beam_client.client import Beam
from beam_client.errors import BeamError, Unavailable
from beam_client.tokens import mint_room, mint_user

__all__ = [
    "AsyncBeam",
    "Beam",
    "BeamError",
    "Event",
    "Member",
    "Room",
    "RoomDetails",
    "Unavailable",
    "mint_room",
    "mint_user",
]
