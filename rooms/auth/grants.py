"""What verified tokens grant: a user, a room, rights. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from rooms.protocol import identifiers

RIGHTS: Final = frozenset({"push", "presence"})


class Unauthorized(Exception):
    """The token is not valid, expired, or for another user or room."""


class BackendUnavailable(Exception):
    """The token cannot be checked now; try again later."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a connection."""

    user_id: str


@dataclass(frozen=True, slots=True)
class RoomGrant:
    """What a room token allows: one room, some rights, perhaps for one user only.

    `expires`: Unix time; None: never.
    """

    room_id: str
    user_id: str | None = None
    can: frozenset[str] = RIGHTS
    meta: dict[str, Any] = field(default_factory=dict)
    expires: float | None = None


class Verifier(Protocol):
    """Verifies tokens. `settings.BEAM["verifier"]` names a factory."""

    async def user(self, token: str) -> Identity:
        """Raises `Unauthorized` or `BackendUnavailable`."""

    async def room(self, token: str) -> RoomGrant:
        """Raises `Unauthorized` or `BackendUnavailable`."""


def id_of(value: object) -> str:
    """The id in a claim: text, or a whole number. Raises `Unauthorized`."""
    try:
        return identifiers.user_id(value)
    except ValueError as error:
        raise Unauthorized(f"the token has no valid id: {error}") from None
