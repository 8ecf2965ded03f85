"""Verifies tokens: who a user is, and what a user may do in a room.

Tokens are JWTs (`rooms.auth.jwt_tokens`), or they are opaque and the backend decodes
them (`rooms.auth.opaque_tokens`). Nothing here logs a token.
"""

from __future__ import annotations

from typing import Final

from django.utils.module_loading import import_string

from beam.config.conf import conf
from beam.loops import per_settings
from rooms.auth.grants import Identity, RoomGrant, Unauthorized, Verifier
from rooms.auth.jwt_tokens import JwtVerifier
from rooms.auth.opaque_tokens import BackendVerifier

MAX_TOKEN: Final = 16_384


async def identify(token: object) -> Identity:
    """The user of a user token. Raises `Unauthorized` or `BackendUnavailable`."""
    return await verifier().user(_token(token))


async def authorize(token: object, room_id: str, identity: Identity) -> RoomGrant:
    """What a room token allows a user in a room.

    Raises `Unauthorized`, also if it is for another room or another user, and
    `BackendUnavailable`.
    """
    grant = await verifier().room(_token(token))
    if grant.room_id != room_id:
        raise Unauthorized(
            f"the token is for room {grant.room_id!r}, not for {room_id!r}"
        )
    if grant.user_id is not None and grant.user_id != identity.user_id:
        raise Unauthorized(
            f"the token is for user {grant.user_id!r}, not for {identity.user_id!r}"
        )
    return grant


def _token(token: object) -> str:
    if token is None or token == "":
        raise Unauthorized("the token is missing")
    if not isinstance(token, str):
        raise Unauthorized("the token is not text")
    if len(token) > MAX_TOKEN:
        raise Unauthorized(f"the token has more than {MAX_TOKEN:,} characters")
    return token


def default_verifier() -> Verifier:
    """Tokens that the backend decodes if `BEAM_BACKEND_URL` is set, else JWTs."""
    return BackendVerifier() if conf().backend_url else JwtVerifier()


@per_settings
def verifier() -> Verifier:
    """The verifier that the settings name."""
    made: Verifier = import_string(conf().verifier)()
    return made
