"""Signs the tokens that a backend gives to its users (HS256)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from beam_client.calls import Id

HOUR = 3_600.0


def mint_user(user_id: Id, *, secret: str, ttl: float = HOUR) -> str:
    """A user token. `ttl` in seconds."""
    return _sign({"user_id": user_id}, secret, ttl)


def mint_room(
    room_id: Id,
    *,
    secret: str,
    ttl: float = HOUR,
    user_id: Id | None = None,
    can: Sequence[str] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> str:
    """A room token. `ttl` in seconds.

    `user_id`: only this user may use it. `can`: "push", "presence" or both; None:
    both. `meta`: shown in the member's presence; the client cannot change it.
    """
    claims = {"room_id": room_id, "user_id": user_id, "can": can, "meta": meta}
    return _sign({k: v for k, v in claims.items() if v is not None}, secret, ttl)


def _sign(claims: dict[str, Any], secret: str, ttl: float) -> str:
    return jwt.encode(claims | {"exp": int(time.time() + ttl)}, secret, "HS256")
