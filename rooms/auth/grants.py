"""Owns what a token says once it is verified: who, which room, what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rooms.protocol import identifiers

RIGHTS: Final = frozenset({"push", "presence"})


class Unauthorized(Exception):
    """The token is wrong, expired, foreign, or for something else."""


class BackendUnavailable(Exception):
    """Whether the token is good cannot be told now; worth trying again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a connection belongs to."""

    user_id: str


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """What a room token allows: one room, perhaps one user, some verbs.

    `expires`: Unix time; None: never.
    """

    room_id: str
    user_id: str | None = None
    can: frozenset[str] = RIGHTS
    meta: dict[str, Any] = field(default_factory=dict)
    expires: float | None = None


class Verifier(Protocol):
    """Turns tokens into grants. `settings.BEAM["verifier"]` names a factory."""

    async def user(self, token: str) -> Identity:
        """Raises `Unauthorized` or `BackendUnavailable`."""

    async def room(self, token: str) -> RoomGrant:
        """Raises `Unauthorized` or `BackendUnavailable`."""


def id_of(value: object) -> str:
    """An id of a claim: text, or a whole number. Raises `Unauthorized`."""
    try:
        return identifiers.user_id(value)
    except ValueError as error:
        raise Unauthorized(f"the token names no id: {error}") from None
