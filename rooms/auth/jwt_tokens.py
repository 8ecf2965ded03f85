"""Verifies and signs JWTs: HS256, and those of an identity provider."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import jwt
from jwt.algorithms import HMACAlgorithm

from beam.config import public_keys
from beam.config.conf import conf
from beam.config.public_keys import PublicKey
from rooms.auth.grants import (
    BackendUnavailable,
    Identity,
    RoomGrant,
    Unauthorized,
)
from rooms.auth.jwks import Jwks, ProviderUnavailable
from rooms.auth.jwt_claims import check_time, claim, id_claim, meta_of, rights_of

ALGORITHM: Final = "HS256"
# Beam's own names, valid in addition to those that are configured.
USER: Final = "user_id"
ROOM: Final = "room_id"
# Beam does not use `sub`, `jti` and `iat`, so they may have any value. `exp` and
# `nbf` are checked by `jwt_claims`, whose errors name the reason.
_UNJUDGED: Final = ("exp", "nbf", "iat", "sub", "jti")
_OPTIONS: Final[Any] = {f"verify_{name}": False for name in (*_UNJUDGED, "aud")}
_WITH_AUDIENCE: Final[Any] = _OPTIONS | {"verify_aud": True}


class JwtVerifier:
    """Verifies Beam's own tokens, and those of an identity provider.

    HS256 with `BEAM_TOKEN_SECRET`: the first secret signs, all verify. Other
    algorithms with `token_public_key` or the keys of `token_jwks_url`.
    """

    def __init__(self) -> None:
        url = conf().token_jwks_url
        self._jwks = Jwks(url) if url else None

    async def user(self, token: str) -> Identity:
        claims = await self._claims(token)
        if claim(claims, conf().token_room_claim, ROOM) is not None:
            raise Unauthorized("this is a room token; a user token is expected")
        return Identity(id_claim(claims, conf().token_user_claim, USER))

    async def room(self, token: str) -> RoomGrant:
        claims = await self._claims(token)
        user = (conf().token_user_claim, USER)
        return RoomGrant(
            room_id=id_claim(claims, conf().token_room_claim, ROOM),
            user_id=None if claim(claims, *user) is None else id_claim(claims, *user),
            can=rights_of(claims.get("can")),
            meta=meta_of(claims.get("meta")),
            expires=float(claims["exp"]),
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("the token is not a JWT") from None
        algorithm = header.get("alg")
        if algorithm == ALGORITHM:
            return _decode(token, map(_key, conf().token_secrets), ALGORITHM)
        if type(algorithm) is not str or algorithm not in public_keys.ALGORITHMS:
            good = ", ".join((ALGORITHM, *sorted(public_keys.ALGORITHMS)))
            raise Unauthorized(f"the token's `alg` is not one of {good}")
        if not conf().token_public_key and self._jwks is None:
            raise Unauthorized(
                f"the token is signed with {algorithm}, but neither "
                "BEAM_TOKEN_PUBLIC_KEY nor BEAM_TOKEN_JWKS_URL is set"
            )
        known = await self._public(header.get("kid"))
        # A key verifies the algorithms of its kind only: never trust `alg` alone.
        keys = [each.key for each in known if algorithm in each.algorithms]
        issuer, audience = conf().token_issuer, conf().token_audience
        return _decode(token, keys, algorithm, issuer or None, audience or None)

    async def _public(self, kid: str | None) -> list[PublicKey]:
        keys = list(_configured(conf().token_public_key))
        if self._jwks is not None:
            try:
                keys += await self._jwks.find(kid)
            except ProviderUnavailable:
                if not keys:
                    raise BackendUnavailable from None
        return keys


@cache
def _configured(pem: str) -> tuple[PublicKey, ...]:
    """The keys of `token_public_key`."""
    return public_keys.from_pem(pem) if pem else ()


def _decode(
    token: str,
    keys: Iterable[Any],
    algorithm: str,
    issuer: str | None = None,
    audience: str | None = None,
) -> dict[str, Any]:
    """The claims of a token that one of the keys verifies. Raises `Unauthorized`."""
    options = _OPTIONS if audience is None else _WITH_AUDIENCE
    for key in keys:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=issuer,
                audience=audience,
                options=options,
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise Unauthorized(_reason(error)) from None
        check_time(claims)
        return claims
    raise Unauthorized(
        "the token is not signed with BEAM_TOKEN_SECRET"
        if algorithm == ALGORITHM
        else "no public key that Beam knows verifies the token's signature"
    )


def _reason(error: Exception) -> str:
    """Why a token is not valid, without quoting it."""
    if isinstance(error, jwt.InvalidIssuerError):
        return "the token's `iss` is not token_issuer"
    if isinstance(error, jwt.InvalidAudienceError):
        return "the token's `aud` is not token_audience"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no `{error.claim}`"
    return "the token is malformed"


@cache
def _key(secret: str) -> jwt.PyJWK:
    """The secret as a key, prepared once and not for every token.

    Raises `jwt.PyJWTError` if the secret is a public key.
    """
    text = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    key = jwt.PyJWK({"kty": "oct", "k": text, "alg": ALGORITHM})
    key.Algorithm.prepare_key(key.key)
    key.Algorithm = _Prepared(HMACAlgorithm.SHA256)
    return key


class _Prepared(HMACAlgorithm):
    """HMAC with a key that PyJWT has checked before, in half of the time."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else super().prepare_key(key)


def mint_user(user_id: str, ttl: float) -> str:
    """A user token. `ttl` in seconds."""
    return _sign({USER: user_id}, ttl)


def mint_room(
    room_id: str,
    ttl: float,
    *,
    user_id: str | None = None,
    can: list[str] | None = None,
    meta: dict[str, Any] | None = None,
) -> str:
    """A room token. `ttl` in seconds; claims that are None are left out."""
    claims = {
        ROOM: room_id,
        USER: user_id,
        "can": can,
        "meta": meta,
    }
    return _sign({k: v for k, v in claims.items() if v is not None}, ttl)


def _sign(claims: dict[str, Any], ttl: float) -> str:
    claims = claims | {"exp": int(time.time() + ttl)}
    return jwt.encode(claims, conf().token_secrets[0], algorithm=ALGORITHM)
