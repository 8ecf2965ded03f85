"""Owns what holds for a room, where it differs from room to room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Final

from beam.config.conf import Conf, conf
from beam.loops import per_settings
from presence.admission import Limits

_DEFAULT: Final = Conf()


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a room.

    `presence_grace`: seconds for which a member that lost its connection stays.
    How much presence it may have, 0 for any: `capacity`: sessions in all.
    `user_sessions`: sessions of one user. `presence_bytes`: of all metas together.
    """

    presence_grace: float
    capacity: int
    user_sessions: int = _DEFAULT.room_user_sessions
    presence_bytes: int = _DEFAULT.room_presence_bytes

    def limits(self) -> Limits:
        """The same as presence knows it."""
        return Limits(self.capacity, self.user_sessions, self.presence_bytes)


@per_settings
def _policies() -> tuple[Policy, tuple[tuple[str, Policy], ...]]:
    default: dict[str, Any] = {
        "presence_grace": conf().presence_grace,
        "capacity": conf().room_capacity,
        "user_sessions": conf().room_user_sessions,
        "presence_bytes": conf().room_presence_bytes,
    }
    some = conf().room_policies.items()
    return Policy(**default), tuple((p, Policy(**default | own)) for p, own in some)


def policy_for(room_id: str) -> Policy:
    """What was set for the room itself, else what the first pattern of
    `room_policies` that fits says, else the defaults."""
    default, some = _policies()
    found = next((own for p, own in some if fnmatchcase(room_id, p)), default)
    own = _overrides.get(room_id)
    return found if own is None else replace(found, **own)


def set_overrides(rooms: dict[str, dict[str, Any]]) -> None:
    """What is set for single rooms: fields of `Policy` by room id; of all of them."""
    global _overrides
    _overrides = rooms


_overrides: dict[str, dict[str, Any]] = {}
