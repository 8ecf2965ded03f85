"""Owns who somebody is and what they may do: tokens in, grants out.

Tokens are JWTs: our own (HS256), or those of the users' identity provider, by
its public key. Or they are opaque, and the backend decodes them. Nothing here
logs a token.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import httpx
import jwt
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from jwt.algorithms import HMACAlgorithm

from beam import public_keys
from beam.conf import conf
from beam.public_keys import PublicKey
from rooms.jwks import Jwks, ProviderAway

logger = logging.getLogger(__name__)

ALGORITHM: Final = "HS256"
VERBS: Final = frozenset({"push", "presence"})
MAX_USER_ID: Final = 200
MAX_TOKEN: Final = 16_384


class Unauthorized(Exception):
    """The token is wrong, expired, foreign, or for something else."""


class BackendAway(Exception):
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
    can: frozenset[str] = VERBS
    meta: dict[str, Any] = field(default_factory=dict)
    expires: float | None = None


class Verifier(Protocol):
    """Turns tokens into grants. `settings.BEAM["verifier"]` names a factory."""

    async def user(self, token: str) -> Identity:
        """Raises `Unauthorized` or `BackendAway`."""

    async def room(self, token: str) -> RoomGrant:
        """Raises `Unauthorized` or `BackendAway`."""


async def identify(token: object) -> Identity:
    """Who holds this user token. Raises `Unauthorized` or `BackendAway`."""
    return await verifier().user(_token(token))


async def enter(token: object, room_id: str, identity: Identity) -> RoomGrant:
    """What a room token allows this user in this room.

    Raises `Unauthorized` where it is for another room or another user, and
    `BackendAway`.
    """
    grant = await verifier().room(_token(token))
    if grant.room_id != room_id:
        raise Unauthorized("token of another room")
    if grant.user_id is not None and grant.user_id != identity.user_id:
        raise Unauthorized("token of another user")
    return grant


def _token(token: object) -> str:
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN:
        raise Unauthorized("no token")
    return token


def _id(value: object) -> str:
    """An id of a claim: text or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_USER_ID:
        raise Unauthorized("the token names no id")
    return value


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
        if conf().token_room_claim in claims:
            raise Unauthorized("a room token says nothing about its bearer")
        return Identity(_id(claims.get(conf().token_user_claim)))

    async def room(self, token: str) -> RoomGrant:
        claims = await self._claims(token)
        user_id = claims.get(conf().token_user_claim)
        return RoomGrant(
            room_id=_id(claims.get(conf().token_room_claim)),
            user_id=None if user_id is None else _id(user_id),
            can=_verbs(claims.get("can")),
            meta=_meta(claims.get("meta")),
            expires=float(claims["exp"]),
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthorized("no JWT") from None
        algorithm = header.get("alg")
        if algorithm == ALGORITHM:
            return _decode(token, map(_key, conf().token_secrets), ALGORITHM)
        if algorithm not in public_keys.ALGORITHMS:
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
        except (jwt.PyJWTError, ValueError, RecursionError):
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
    return meta


def mint_user(user_id: str, ttl: float) -> str:
    """A user token. `ttl` in seconds."""
    return _sign({conf().token_user_claim: user_id}, ttl)


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
        conf().token_room_claim: room_id,
        conf().token_user_claim: user_id,
        "can": can,
        "meta": meta,
    }
    return _sign({k: v for k, v in claims.items() if v is not None}, ttl)


def _sign(claims: dict[str, Any], ttl: float) -> str:
    claims = claims | {"exp": int(time.time() + ttl)}
    return jwt.encode(claims, conf().token_secrets[0], algorithm=ALGORITHM)


class BackendVerifier:
    """Opaque tokens: the backend decodes them (`decode_token`).

    Positive answers are kept for `backend_cache_seconds`, by the token's hash.
    """

    MAX_CACHED = 10_000

    def __init__(self) -> None:
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, httpx.AsyncClient
        ] = WeakKeyDictionary()
        self._cache: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._reachable = True

    async def user(self, token: str) -> Identity:
        return Identity(await self._decode("user", token))

    async def room(self, token: str) -> RoomGrant:
        return RoomGrant(await self._decode("room", token))

    async def _decode(self, kind: str, token: str) -> str:
        key = sha256(f"{kind}:{token}".encode(errors="surrogatepass")).digest()
        until, known = self._cache.get(key, (0.0, ""))
        if time.monotonic() < until:
            return known
        value = _id(await self._ask(kind, token))
        self._cache[key] = (time.monotonic() + conf().backend_cache_seconds, value)
        self._cache.move_to_end(key)
        if len(self._cache) > self.MAX_CACHED:
            self._cache.popitem(last=False)
        return value

    async def _ask(self, kind: str, token: str) -> object:
        try:
            answer = await self._client().post(
                f"{conf().backend_url.rstrip('/')}/api/v1/private/decode_token",
                json={"type": kind, "token": token},
                headers={"oorja-secret": conf().api_secrets[0]},
            )
            answer.raise_for_status()
            data = answer.json()["data"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            self._log_state(reachable=False, error=error)
            raise BackendAway from None
        self._log_state(reachable=True)
        return data.get(f"{kind}_id") if isinstance(data, dict) else None

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx.AsyncClient(timeout=conf().backend_timeout)
        return self._clients[loop]

    async def close(self) -> None:
        """Close the running loop's client, if there is one."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _log_state(self, *, reachable: bool, error: Exception | None = None) -> None:
        """One line a change, not one a request."""
        if reachable != self._reachable:
            if reachable:
                logger.info("The backend decodes tokens again")
            else:
                # The error's text could hold what was sent; its kind is enough.
                logger.error("The backend cannot decode: %s", type(error).__name__)
        self._reachable = reachable


def default_verifier() -> Verifier:
    """The backend's `decode_token` where `BEAM_BACKEND_URL` is set, else JWT."""
    return BackendVerifier() if conf().backend_url else JwtVerifier()


@cache
def verifier() -> Verifier:
    """The verifier in force."""
    made: Verifier = import_string(conf().verifier)()
    return made


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "BEAM":
        verifier.cache_clear()


setting_changed.connect(_forget)
