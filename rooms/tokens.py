"""Owns JWTs: our own (HS256), and those of an identity provider by its public key."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm

from beam import public_keys
from beam.conf import conf
from beam.public_keys import PublicKey
from rooms.grants import VERBS, BackendAway, Identity, RoomGrant, Unauthorized, id_of
from rooms.jwks import Jwks, ProviderAway

ALGORITHM: Final = "HS256"
# Beam's own names, good beside those that are configured.
USER: Final = "user_id"
ROOM: Final = "room_id"


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
            raise Unauthorized("a room token says nothing about its bearer")
        return Identity(id_of(_claim(claims, conf().token_user_claim, USER)))

    async def room(self, token: str) -> RoomGrant:
        claims = await self._claims(token)
        user_id = _claim(claims, conf().token_user_claim, USER)
        return RoomGrant(
            room_id=id_of(_claim(claims, conf().token_room_claim, ROOM)),
            user_id=None if user_id is None else id_of(user_id),
            can=_verbs(claims.get("can")),
            meta=_meta(claims.get("meta")),
            expires=_moment(claims["exp"]),
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("no JWT") from None
        algorithm = header.get("alg")
        if algorithm == ALGORITHM:
            return _decode(token, map(_key, conf().token_secrets), ALGORITHM)
        if type(algorithm) is not str or algorithm not in public_keys.ALGORITHMS:
            raise Unauthorized("signed in a way that is not accepted")
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
            except ProviderAway:
                if not keys:
                    raise BackendAway from None
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
    for key in keys:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                leeway=conf().token_leeway,
                issuer=issuer,
                audience=audience,
                options={"require": ["exp"], "verify_aud": audience is not None},
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError):
            break
    raise Unauthorized("the token is not valid")


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
        raise Unauthorized("the token's `can` is no list")
    return VERBS & {verb for verb in can if isinstance(verb, str)}


def _meta(meta: object) -> dict[str, Any]:
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise Unauthorized("the token's `meta` is no object")
    try:
        orjson.dumps(meta)
    except TypeError:
        # Half a character, a huge number, deep nesting: nobody could be told.
        raise Unauthorized("the token's `meta` cannot be told to others") from None
    return meta


def _moment(exp: Any) -> float:
    try:
        return float(exp)
    except OverflowError:
        raise Unauthorized("the token's `exp` is no time") from None


def _claim(claims: dict[str, Any], *names: str) -> Any:
    """The first of these claims that is there; None for none."""
    return next((claims[name] for name in names if name in claims), None)


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
