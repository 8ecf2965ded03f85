"""Owns JWTs: our own (HS256), and those of an identity provider by its public key."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

from beam.config import public_keys
from beam.config.conf import conf
from beam.config.public_keys import PublicKey
from rooms.auth.grants import (
    VERBS,
    BackendUnavailable,
    Identity,
    RoomGrant,
    Unauthorized,
    id_of,
)
from rooms.auth.jwks import Jwks, ProviderUnavailable
from rooms.protocol.json_types import json_type, not_an_object

ALGORITHM: Final = "HS256"
# Beam's own names, good beside those that are configured.
USER: Final = "user_id"
ROOM: Final = "room_id"
LAST_DATE: Final = 253_402_300_799
"""The end of the year 9999, in seconds. What is above is not in seconds."""
# `sub`, `jti` and `iat` decide nothing in Beam, so they may be anything. `exp` and
# `nbf` are judged by `_check_time`, which says what is wrong with them.
_UNJUDGED: Final = ("exp", "nbf", "iat", "sub", "jti")
_OPTIONS: Final[Any] = {f"verify_{name}": False for name in (*_UNJUDGED, "aud")}
_WITH_AUDIENCE: Final[Any] = _OPTIONS | {"verify_aud": True}


class JwtVerifier:
    """Our own tokens, and those of an identity provider.

    HS256 with the shared secrets: the first signs, all verify. Other algorithms
    with `token_public_key` or the keys of `token_jwks_url`.
    """

    def __init__(self) -> None:
        url = conf().token_jwks_url
        self._jwks = Jwks(url) if url else None

    async def user(self, token: str) -> Identity:
        claims = await self._claims(token)
        if _claim(claims, conf().token_room_claim, ROOM) is not None:
            raise Unauthorized("this is a room token, where a user token belongs")
        return Identity(_id(claims, conf().token_user_claim, USER))

    async def room(self, token: str) -> RoomGrant:
        claims = await self._claims(token)
        user = (conf().token_user_claim, USER)
        return RoomGrant(
            room_id=_id(claims, conf().token_room_claim, ROOM),
            user_id=None if _claim(claims, *user) is None else _id(claims, *user),
            can=_verbs(claims.get("can")),
            meta=_meta(claims.get("meta")),
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
            raise Unauthorized(f"the token's `alg` is none of {good}")
        if not conf().token_public_key and self._jwks is None:
            raise Unauthorized(
                f"the token is signed with {algorithm}, but neither "
                "BEAM_TOKEN_PUBLIC_KEY nor BEAM_TOKEN_JWKS_URL is set"
            )
        known = await self._public(header.get("kid"))
        # A key is for the algorithms of its kind, never for what a token says.
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
    """The claims of a token that one of the keys has signed. `Unauthorized`."""
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
        _check_time(claims)
        return claims
    raise Unauthorized(
        "the token is not signed with BEAM_TOKEN_SECRET"
        if algorithm == ALGORITHM
        else "no public key that Beam knows verifies the token's signature"
    )


def _reason(error: Exception) -> str:
    """What is wrong with a token, in words that quote nothing of it."""
    if isinstance(error, jwt.InvalidIssuerError):
        return "the token's `iss` is not token_issuer"
    if isinstance(error, jwt.InvalidAudienceError):
        return "the token's `aud` is not token_audience"
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no `{error.claim}`"
    return "the token is malformed"


def _check_time(claims: dict[str, Any]) -> None:
    """Raises `Unauthorized` for a token that is not good now, or has no `exp`."""
    now, leeway = time.time(), conf().token_leeway
    if claims.get("exp") is None:
        raise Unauthorized("the token has no `exp`")
    if (expires := _date(claims, "exp")) <= now - leeway:
        raise Unauthorized(f"the token expired {now - expires:,.0f} s ago")
    if claims.get("nbf") is not None:
        wait = _date(claims, "nbf") - now
        if wait > leeway:
            raise Unauthorized(f"the token is not good for {wait:,.0f} s yet (`nbf`)")


def _date(claims: dict[str, Any], name: str) -> float:
    """A claim that is a Unix time in seconds. Raises `Unauthorized`."""
    date = claims[name]
    # NaN is neither above nor below anything.
    if type(date) not in (int, float) or not date > -LAST_DATE:
        raise Unauthorized(f"the token's `{name}` is not a number of seconds")
    if date > LAST_DATE:
        raise Unauthorized(
            f"the token's `{name}` is after the year 9999: it must be in seconds, "
            "not in milliseconds"
        )
    return float(date)


@cache
def _key(secret: str) -> jwt.PyJWK:
    """The secret, prepared once and not for every token.

    Raises `jwt.PyJWTError` for one that is rather a public key.
    """
    text = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    key = jwt.PyJWK({"kty": "oct", "k": text, "alg": ALGORITHM})
    key.Algorithm.prepare_key(key.key)
    key.Algorithm = _Prepared(HMACAlgorithm.SHA256)
    return key


class _Prepared(HMACAlgorithm):
    """HMAC with a key that PyJWT has looked at before: half of its time."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else super().prepare_key(key)


def _verbs(can: object) -> frozenset[str]:
    if can is None:
        return VERBS
    if not isinstance(can, list):
        raise Unauthorized(f"the token's `can` is a list, not {json_type(can)}")
    return VERBS & {verb for verb in can if isinstance(verb, str)}


def _meta(meta: object) -> dict[str, Any]:
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Unauthorized(not_an_object("the token's `meta`", meta))
    try:
        orjson.dumps(meta)
        # orjson writes null for NaN and Infinity.
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError):
        # Half of a surrogate pair, a huge number, deep nesting.
        raise Unauthorized("the token's `meta` cannot be written as JSON") from None
    return meta


def _claim(claims: dict[str, Any], *names: str) -> Any:
    """The first of these claims that is there; None for none."""
    return next((claims[name] for name in names if name in claims), None)


def _id(claims: dict[str, Any], *names: str) -> str:
    """The id that the first of these claims is. Raises `Unauthorized`."""
    found = _claim(claims, *names)
    if found is None:
        raise Unauthorized(f"the token has no `{names[0]}`")
    return id_of(found)


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
    """A room token. `ttl` in seconds; what is None is left out."""
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
