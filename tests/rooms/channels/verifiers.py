"""Verifiers that fail."""

from __future__ import annotations

from django.db import OperationalError

from beam import redis
from rooms.auth import grants, jwt_tokens


class UnavailableForRooms(jwt_tokens.JwtVerifier):
    """A backend that answers for users and is unavailable for rooms."""

    async def room(self, token: str) -> grants.RoomGrant:
        raise grants.BackendUnavailable


class Broken(UnavailableForRooms):
    """A verifier with a bug."""

    async def user(self, token: str) -> grants.Identity:
        raise RuntimeError("a bug")


class NoRedis(UnavailableForRooms):
    """A verifier that needs Redis, which is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise redis.Unavailable


class NoDatabase(UnavailableForRooms):
    """A verifier that needs the database, which is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise OperationalError("unavailable")


class UnavailableForAll(UnavailableForRooms):
    """A backend that is unavailable."""

    async def user(self, token: str) -> grants.Identity:
        raise grants.BackendUnavailable
