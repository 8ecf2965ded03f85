"""The policy of a room: settings that may differ from room to room."""

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
    """The settings of a room.

    `presence_grace`: seconds for which a member stays after a lost connection.
    Limits of its presence, 0 for none: `capacity`: all sessions. `user_sessions`:
    sessions of one user. `presence_bytes`: the size of all metas.
    """

    presence_grace: float
    capacity: int
    user_sessions: int = _DEFAULT.room_user_sessions
    presence_bytes: int = _DEFAULT.room_presence_bytes

    def limits(self) -> Limits:
        """The limits, for the tracker."""
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
    """The policy of a room.

    The room's own settings win over those of the first pattern in `room_policies`
    that matches, and these win over the defaults.
    """
    default, some = _policies()
    found = next((own for p, own in some if fnmatchcase(room_id, p)), default)
    own = _overrides.get(room_id)
    return found if own is None else replace(found, **own)


def set_overrides(rooms: dict[str, dict[str, Any]]) -> None:
    """Replace the settings of all single rooms: fields of `Policy`, by room id."""
    global _overrides
    _overrides = rooms


_overrides: dict[str, dict[str, Any]] = {}
