"""Owns what holds for a room, where it differs from room to room."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from django.core.signals import setting_changed

from beam.conf import conf


@dataclass(frozen=True, slots=True)
class Policy:
    """`presence_grace`: seconds for which a member that lost its connection stays."""

    presence_grace: float


@cache
def _policies() -> tuple[Policy, tuple[tuple[str, Policy], ...]]:
    default = {"presence_grace": conf().presence_grace}
    some = conf().room_policies.items()
    return Policy(**default), tuple((p, Policy(**default | own)) for p, own in some)


def policy_for(room_id: str) -> Policy:
    """The first pattern of `room_policies` that fits a room, else the defaults."""
    default, some = _policies()
    return next((own for p, own in some if fnmatchcase(room_id, p)), default)


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "BEAM":
        _policies.cache_clear()


setting_changed.connect(_forget)
